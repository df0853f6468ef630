"""Reads source files into shards of the canonical table, through configuration alone.

The canonical table has the columns of :data:`TABLE`. Outer white space of an answer is cut off (answers are compared without it), and a
blank field is null; texts to work on stay as they were written. Memory holds one shard.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import polars as pl

from pipeline_config.data import ColumnMapping, Format, SourceConfig
from pipeline_config.errors import DataError
from tasks.data.formats import Chat, Detected, Fault, convert, detect, text_fault
from tasks.data.locations import did_you_mean, listed
from tasks.data.readers import location_digests, read_records
from tasks.data.records import SourceRecord
from tasks.files import sha256_json

SHARD_ROWS = 50_000
TABLE = pl.Schema(
    {
        "row_id": pl.String(),
        "from_test": pl.Boolean(),
        "file": pl.String(),
        "line": pl.Int64(),
        "instruction": pl.String(),
        "input": pl.String(),
        "output": pl.String(),
        "turns": pl.String(),
        "group_value": pl.String(),
        "fault": pl.String(),
        "fault_reason": pl.String(),
        "kept": pl.String(),
    }
)
"""One line for each row read. `instruction` is the system turn, `output` the last answer, `input` what lies between: the user's turn, or
the texts of several turns, joined by line ends. `turns` is JSON of all turns after the system turn where they are more than one question
and its answer. `fault` and `fault_reason` say why there is no chat in this row, null where there is one. `kept` is a JSON
object of the columns of `data.source.slice_columns`, null where there are none."""

_SAMPLE = 200
"""Records that the format is told from."""


class _Fields(NamedTuple):
    instruction: str | None = None
    input: str | None = None
    output: str | None = None
    turns: str | None = None
    group_value: str | None = None
    fault: str | None = None
    fault_reason: str | None = None
    kept: str | None = None


class Source:
    """The rows of a configuration, and how they were read: `format` is known once the first shard has been taken."""

    def __init__(self, config: SourceConfig, group_column: str | None) -> None:
        self._config, self._group_column = config, group_column
        self._seen: dict[int, int] = {}
        self._formats: list[Detected] = []

    @property
    def format(self) -> Detected:
        """The format of the training files."""
        return self._formats[0]

    def shards(self, rows: int = SHARD_ROWS) -> Iterator[pl.DataFrame]:
        """Reads the training files and then the test files, if there are any. A line that cannot be read is a row too: nothing is lost.

        Raises:
            DataError: a file is missing, empty or unreadable, lacks a column, or its format cannot be told.
        """
        lines = (line for location, from_test in _locations(self._config) for line in self._read(location, from_test))
        while part := list(islice(lines, rows)):
            yield self._canonical(pl.DataFrame(part, schema=TABLE, orient="row"))

    def _canonical(self, table: pl.DataFrame) -> pl.DataFrame:
        if self._config.instruction is not None:
            has_own = self.format.format not in ("instruction", "columns")
            constant = pl.lit(self._config.instruction)
            table = table.with_columns(instruction=pl.coalesce("instruction", constant) if has_own else constant)
        filled = {name: pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in ("instruction", "input", "output")}
        return table.with_columns(**filled).with_columns(pl.col("output").str.strip_chars())

    def _read(self, location: str, from_test: bool) -> Iterator[tuple[Any, ...]]:
        records = read_records(location)
        first = list(islice(records, _SAMPLE))
        readable = [item.record for item in first if item.record is not None]
        detected = self._detected(location, readable)
        self._formats.append(detected)
        columns = _columns(self._config, detected.format, self._group_column)
        found: dict[str, None] = {}
        for item in chain(first, records):
            found |= dict.fromkeys(item.record or ())
            fields = _fields(item, detected.format, columns)._replace(kept=_kept(item, self._config.slice_columns))
            yield (self._row_id(item, fields, from_test), from_test, item.file, item.line, *fields)
        if found:  # without a single readable record there are no columns to speak of
            kept = self._config.slice_columns if from_test or self._config.test_path is None else ()
            _require_columns(location, {**columns, **{f"slice {name}": name for name in kept}}, list(found))

    def _detected(self, location: str, records: list[Mapping[str, object]]) -> Detected:
        if self._config.format is not None:
            return Detected(self._config.format, f"the format is {self._config.format}, as data.source.format says")
        if self._config.columns is not None:
            return Detected("columns", "the format is columns, as data.source.columns names them")
        return detect(records) if records else Detected("instruction", f"no record among the first of {location} can be read")

    def _row_id(self, item: SourceRecord, fields: _Fields, from_test: bool) -> str:
        """From the content, so that it stays when other rows come or go; equal rows are numbered."""
        texts: list[object] = [fields.instruction, fields.input, fields.output, fields.group_value]
        texts = [item.file, item.line, fields.fault_reason] if item.fault else [*texts, fields.turns] if fields.turns else texts
        content = sha256_json([from_test, *texts])[:20]
        key = int(content[:16], 16)  # 64 bits: in a million rows two contents share one with a chance of 3 in 10^8, and are then told apart
        self._seen[key] = number = self._seen.get(key, 0) + 1
        return f"{content}-{number}"


def source_digests(source: SourceConfig) -> list[list[str]]:
    """Name and SHA-256 of each source file, training files first.

    Raises:
        DataError: a file is missing.
    """
    return [digest for location, _ in _locations(source) for digest in location_digests(location)]


def _locations(source: SourceConfig) -> list[tuple[str, bool]]:
    return [(source.path, False)] + ([(source.test_path, True)] if source.test_path else [])


def _columns(source: SourceConfig, format: Format, group_column: str | None) -> dict[str, str]:
    """Column of each canonical field that is read as it is. A constant instruction stands in place of a column."""
    named = (source.columns or ColumnMapping()) if format == "columns" else ColumnMapping()
    texts = {"instruction": named.instruction if source.instruction is None else None, "input": named.input, "output": named.output}
    columns = (texts if format in ("columns", "instruction") else {}) | {"group_value": group_column}
    return {field: column for field, column in columns.items() if column is not None}


def _fields(item: SourceRecord, format: Format, columns: Mapping[str, str]) -> _Fields:
    if item.record is None:
        return _Fields(fault="UNREADABLE_LINE", fault_reason=item.fault)
    cells = {field: item.record.get(column) for field, column in columns.items()}
    group = _as_text(cells.pop("group_value", None))
    if format in ("columns", "instruction"):
        faults = [f"{field} {fault}" for field, value in cells.items() if (fault := text_fault(value))]
        texts = {field: _as_text(value) for field, value in cells.items()}
        return _Fields(**texts, group_value=group, fault="NOT_TEXT" if faults else None, fault_reason="; ".join(faults) or None)
    chat = convert(item.record, format)
    if isinstance(chat, Fault):
        return _Fields(output=sha256_json(_as_text(dict(item.record))), group_value=group, fault=chat.code, fault_reason=chat.reason)
    return _from_chat(chat)._replace(group_value=group)


def _kept(item: SourceRecord, names: Sequence[str]) -> str | None:
    if item.record is None or not names:
        return None
    return json.dumps({name: _as_text(item.record.get(name)) for name in names}, ensure_ascii=True)


def _from_chat(chat: Chat) -> _Fields:
    instruction = chat[0]["content"] if chat[0]["role"] == "system" else None
    *asked, answer = chat[1:] if instruction is not None else chat
    simple = len(asked) == 1 and "tool_calls" not in answer
    said = ["\n".join(filter(None, [turn["content"], turn.get("tool_calls")])) for turn in (*asked, answer)]
    turns = None if simple else json.dumps([*asked, answer], ensure_ascii=False)
    return _Fields(instruction=instruction, input="\n".join(said[:-1]), output=said[-1], turns=turns)


def _require_columns(location: str, columns: Mapping[str, str], found: list[str]) -> None:
    """`instruction` and `input` may be absent under their default names, as long as one of them is there to ask something."""
    defaults = ColumnMapping()
    asking = {field: columns[field] for field in ("instruction", "input") if field in columns}
    some_ask = any(column in found for column in asking.values())
    optional = {column for field, column in asking.items() if some_ask and column == getattr(defaults, field)}
    missing = [column for column in columns.values() if column not in found and column not in optional]
    if missing:
        noun = "unknown column" if len(missing) == 1 else "unknown columns"
        near = did_you_mean(missing[0], found)
        raise DataError(
            f"{noun} {listed(f'`{column}`' for column in missing)}",
            where=location,
            expected=f"one of the columns found: {listed(found)}",
            hint=f"{near} set data.source.columns".strip(),
        )


def _as_text(value: object) -> str | None:
    """Text as it is, anything else as JSON: it is quarantined, but its row still needs an identity."""
    if value is None or (isinstance(value, str) and text_fault(value) is None):
        return value
    return json.dumps(value, default=str, ensure_ascii=True)
