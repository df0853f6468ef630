"""Placeholders in place of personal data and secrets: the same in prepared rows and in what a served model is asked.

Masking what is masked changes nothing, so a prepared row arrives at the model as it was trained on, whichever way it comes.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, cast

from tasks.candidates import may_hold
from tasks.rows import Message
from tasks.screening import Kind, Span, find_in_text, mask


class MaskedText(NamedTuple):
    """A text with placeholders, and how many of each kind were put in."""

    text: str
    counts: Counter[Kind]


class MaskedChat(NamedTuple):
    """A chat with placeholders, and how many of each kind were put in."""

    messages: list[Message]
    counts: Counter[Kind]


def mask_text(text: str, kinds: Collection[Kind]) -> MaskedText:
    """Masks some kinds. What a number is does not depend on that: digits of an account are no phone number, though accounts stay."""
    return _mask_behind("", text, kinds)


def mask_json(text: str, kinds: Collection[Kind]) -> MaskedText:
    """Masks strings, keys and whole numbers in JSON text. It stays JSON of the same shape; a number that is masked becomes a string.

    A value is looked at behind its key, because `{"password": …}` says what the value alone does not.
    """
    counts: Counter[Kind] = Counter()

    def change(lead: str, value: str) -> str:
        masked = _mask_behind(lead, value, kinds)
        counts.update(masked.counts)
        return masked.text

    return MaskedText(_change_json(text, change) if kinds else text, counts)


def texts_in_json(text: str) -> list[str]:
    """The texts that :func:`mask_json` looks at."""
    texts: list[str] = []

    def note(lead: str, value: str) -> str:
        # JSON can escape half of a surrogate pair, which no column of text takes.
        texts.append((lead + value).encode(errors="replace").decode())
        return value

    _change_json(text, note)
    return texts


def mask_messages(messages: Sequence[Message], kinds: Collection[Kind]) -> MaskedChat:
    """Masks every turn of a chat, whatever its role, and tool calls with it."""
    masked: list[Message] = []
    counts: Counter[Kind] = Counter()
    for message in messages:
        parts = {name: _MASKS[name](value, kinds) for name, value in cast(dict[str, str], message).items() if name in _MASKS}
        masked.append(cast(Message, {**message, **{name: part.text for name, part in parts.items()}}))
        counts.update(kind for part in parts.values() for kind in part.counts.elements())
    return MaskedChat(masked, counts)


def _mask_behind(lead: str, text: str, kinds: Collection[Kind]) -> MaskedText:
    """Masks a text that is read behind another one, until there is no more to mask: a placeholder changes what stands around it."""
    counts: Counter[Kind] = Counter()
    while may_hold(lead + text, kinds) and (spans := _spans_behind(len(lead), lead + text, kinds)):
        text = mask(text, [(kind, start - len(lead), end - len(lead)) for kind, start, end in spans])
        counts.update(span.kind for span in spans)
    return MaskedText(text, counts)


def _spans_behind(start: int, text: str, kinds: Collection[Kind]) -> list[Span]:
    return [span for span in find_in_text(text) if span.kind in kinds and span.start >= start]


_MASKS: dict[str, Callable[[str, Collection[Kind]], MaskedText]] = {"content": mask_text, "tool_calls": mask_json}

_JSON_TOKEN = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|(?P<number>-?[0-9][0-9.eE+-]*)')


def _change_json(text: str, change: Callable[[str, str], str]) -> str:
    """Puts each key and value through `change(lead, value)`; the lead of a value is its key and a colon. What stays is left as written.

    Strings that hold JSON themselves, as the arguments of a call do, are gone into. It looks at tokens only, so that depth does not matter.
    """
    lead = ""

    def replace(found: re.Match[str]) -> str:
        nonlocal lead
        value = found["number"] or json.loads(found["string"])
        if found["number"] and not value.lstrip("-").isdigit():
            return found.group()
        if found["colon"]:
            changed = change("", value)
            lead = f"{changed}: "
        else:
            changed = _change_json(value, change) if found["string"] and _holds_json(value) else change(lead, value)
        return found.group() if changed == value else json.dumps(changed) + (found["colon"] or "")

    return _JSON_TOKEN.sub(replace, text)


def _holds_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
