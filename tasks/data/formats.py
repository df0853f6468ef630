"""From one raw record to one canonical chat, in the formats in which teams and public data sets keep theirs. Pure functions.

Reasons of faults never hold a value of the record: it may be confidential. Answers lose outer white space; other texts stay as written.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pipeline_config.data import Format
from pipeline_config.errors import DataError
from tasks.data.locations import did_you_mean, listed
from tasks.rows import Message
from tasks.tool_calls import parse_tool_calls

Code = Literal["NOT_TEXT", "NO_TURNS", "UNKNOWN_ROLE", "ROLES", "EMPTY_TURN", "UNREADABLE_LINE"]
"""Why a record is no chat. `UNREADABLE_LINE` is for records that have a fault already when they are read."""


Turn = Message
Chat = list[Turn]


class Fault(NamedTuple):
    """Why a record cannot be used."""

    code: Code
    reason: str


class Detected(NamedTuple):
    """A format, and in one sentence why it is that one."""

    format: Format
    why: str


_FIELDS: Mapping[Format, tuple[str, ...]] = {
    "instruction": ("instruction", "input", "output"),
    "chat": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "sharegpt": ("conversations",),
}
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
_FOLLOWS = {
    "nothing": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}
"""Which roles may come behind which."""


class _Unfit(Exception):
    """Carries a fault from where it is found to :func:`convert`."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(code, reason)


def detect(records: Sequence[Mapping[str, object]]) -> Detected:
    """Tells the format from a sample of records: the one whose fields most of them have. Never `columns`, which needs names.

    Raises:
        DataError: no record has the fields of a format, or two formats fit equally.
    """
    counts = {name: sum(_fits(record, name) for record in records) for name in _FIELDS}
    most = max(counts.values())
    best = [name for name, count in counts.items() if count == most]
    found = list(dict.fromkeys(str(column) for record in records for column in record))
    if most == 0:
        raise _unknown_format(found)
    if len(best) > 1:
        raise DataError(
            f"two formats fit equally: {listed(best)}", where="data.source",
            expected=f"the fields of one format; the columns found are {listed(found)}",
            hint="say which one is meant (data.source.format), or remove the columns of the other",
        )  # fmt: skip
    fields = " and ".join(f"`{field}`" for field in _FIELDS[best[0]] if any(field in record for record in records))
    return Detected(best[0], f"the format is {best[0]}, because {most} of {len(records)} records looked at have {fields}")


def convert(record: Mapping[str, object], format: Format) -> Chat | Fault:
    """Turns a raw record of turns into a chat that ends with the assistant's answer, or says why it is none. Never raises.

    Formats `instruction` and `columns` hold single texts in columns, see `tasks.data.sources`.
    """
    try:
        return _checked(list(_turns(record, format)), _opening(record, format))
    except _Unfit as unfit:
        return unfit.fault


def text_fault(value: object) -> str | None:
    """What is wrong with a value that should be text or null; null if nothing is."""
    if value is None:
        return None
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can escape half of a surrogate pair, which no encoder takes
        return "is not valid Unicode"
    return None


# Detection


def _fits(record: Mapping[str, object], format: Format) -> bool:
    """By names alone: a value of a wrong type is a fault of its row, not another format."""
    if format == "instruction":
        return "output" in record and ("instruction" in record or "input" in record)
    return all(field in record for field in _FIELDS[format])


def _unknown_format(found: list[str]) -> DataError:
    known = [field for fields in _FIELDS.values() for field in fields]
    near = next((f"column `{column}`: {hint}" for column in found if (hint := did_you_mean(column, known))), "")
    return DataError(
        f"the columns fit no known format: {listed(found) or 'there are none'}",
        where="data.source",
        expected="; ".join(f"{', '.join(fields)} ({name})" for name, fields in _FIELDS.items()),
        hint=f"{near} set data.source.columns for a table with other names".strip(),
    )


# Turns


def _turns(record: Mapping[str, object], format: Format) -> Iterator[Turn]:
    sides = [_side(record.get(field), field) for field in _FIELDS[format]]
    if not all(sides):
        empty = next(field for field, side in zip(_FIELDS[format], sides, strict=True) if not side)
        raise _Unfit("NO_TURNS", f"{empty} is empty")
    for number, raw in enumerate((turn for side in sides for turn in side), start=1):
        yield _turn(raw, f"turn {number}")


def _side(value: object, field: str) -> Sequence[object]:
    """The raw turns of a field. A prompt or completion may be one text; a list of turns may be JSON text, as tables of text hold it."""
    if isinstance(value, str):
        role = {"prompt": "user", "completion": "assistant"}.get(field)
        value = _parsed(value) if role is None else [{"role": role, "content": value}]
    if value is None or isinstance(value, list):
        return value or []
    raise _Unfit("NOT_TEXT", f"{field} is of type {type(value).__name__}, not a list of turns")


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text


def _turn(raw: object, place: str) -> Turn:
    """`role` and `content`, or `from` and `value`; other keys are left out."""
    if not isinstance(raw, Mapping):
        raise _Unfit("NOT_TEXT", f"{place} is of type {type(raw).__name__}")
    name, content = raw.get("role") or raw.get("from"), raw.get("value") if raw.get("content") is None else raw["content"]
    name = name.strip().lower() if isinstance(name, str) else None
    role = _ROLES.get(name) if name else None
    if role is None:
        raise _Unfit("UNKNOWN_ROLE", f"the role of {place} is none of {listed(_ROLES)}")
    calls = raw.get("tool_calls") or raw.get("function_call")
    if name == "function_call":  # this role's text is the call itself
        calls, content = content, None
    text = _joined(content, f"the text of {place}")
    turn: Turn = {"role": role, "content": text.strip() if role == "assistant" else text}
    if role == "assistant" and calls:
        turn["tool_calls"] = _as_json(calls, f"the tool calls of {place}")
    return turn


def _joined(content: object, place: str) -> str:
    """Text, or a list of text parts without anything between them, as templates render them."""
    parts = content if isinstance(content, list) else [content]
    texts = [part if part is None or isinstance(part, str) else _part(part, place) for part in parts]
    joined = "".join(text or "" for text in texts)
    if fault := text_fault(joined):
        raise _Unfit("NOT_TEXT", f"{place} {fault}")
    return joined


def _part(part: object, place: str) -> str:
    text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") in ("text", None) else None
    if not isinstance(text, str):
        kind = "has a part that is no text" if isinstance(part, Mapping) else f"holds a value of type {type(part).__name__}"
        raise _Unfit("NOT_TEXT", f"{place} {kind}")
    return text


def _as_json(calls: object, place: str) -> str:
    """JSON text as written, anything else as JSON text."""
    try:
        if isinstance(calls, str):
            json.loads(calls)
        text = calls if isinstance(calls, str) else json.dumps(calls, ensure_ascii=False, allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):
        raise _Unfit("NOT_TEXT", f"{place} are not JSON") from None
    if text_fault(text):
        raise _Unfit("NOT_TEXT", f"{place} are not valid Unicode")
    try:
        parse_tool_calls(text)
    except DataError as error:
        raise _Unfit("NOT_TEXT", f"{place} are no calls: {error.expected} is expected") from None
    return text


def _opening(record: Mapping[str, object], format: Format) -> str | None:
    """The system turn of a chat that has none among its turns: ShareGPT records may hold it beside them."""
    beside = record.get("system") if format == "sharegpt" else None
    if fault := text_fault(beside):
        raise _Unfit("NOT_TEXT", f"system {fault}")
    return beside if isinstance(beside, str) and beside.strip() else None


def _checked(turns: Chat, opening: str | None) -> Chat:
    """An empty system turn says nothing and is left out; any other turn has to say something."""
    previous = "nothing"
    for number, turn in enumerate(turns, start=1):
        if turn["role"] not in _FOLLOWS[previous]:
            raise _Unfit("ROLES", f"turn {number} is of {turn['role']} and follows {previous}; expected {' or '.join(_FOLLOWS[previous])}")
        previous = turn["role"]
    if previous != "assistant":
        raise _Unfit("ROLES", f"the last turn is of {previous}, not of assistant")
    empty = [number for number, turn in enumerate(turns, start=1) if turn["role"] != "system" and not _says_something(turn)]
    if empty:
        raise _Unfit("EMPTY_TURN", f"turn {empty[0]} is empty")
    said = [turn for turn in turns if _says_something(turn)]
    return said if opening is None or said[0]["role"] == "system" else [{"role": "system", "content": opening}, *said]


def _says_something(turn: Turn) -> bool:
    return bool(turn["content"].strip()) or "tool_calls" in turn
