"""Reads source files into the canonical table, through configuration alone.

The canonical table has the columns of :data:`TABLE`. Outer white space of an answer is cut off (answers are compared without it), and a
blank field is null; texts to work on stay as they were written.
"""

import json
from collections import Counter
from collections.abc import Mapping

import polars as pl

from pipeline_config.data import ColumnMapping, SourceConfig
from pipeline_config.errors import DataError
from tasks.data.locations import did_you_mean, listed
from tasks.data.readers import SourceRecord, location_digests, read_records
from tasks.files import sha256_json

TABLE = pl.Schema(
    {
        "row_id": pl.String(),
        "from_test": pl.Boolean(),
        "file": pl.String(),
        "line": pl.Int64(),
        "instruction": pl.String(),
        "input": pl.String(),
        "output": pl.String(),
        "group_value": pl.String(),
        "not_text": pl.String(),
        "unreadable": pl.String(),
    }
)
"""One line for each row read. `not_text` says which fields hold something else than text, and what; `unreadable` why there are no fields at
all; null where there is nothing to say."""


def read_table(source: SourceConfig, group_column: str | None) -> pl.DataFrame:
    """Reads the training files and, if there are any, the test files. A line that cannot be read is a row too: nothing is lost.

    Args:
        group_column: column whose value goes to `group_value`.

    Raises:
        DataError: a file is missing, empty or unreadable, or lacks a column.
    """
    mapping = _mapping(source, group_column)
    parts = [_read_location(path, from_test, mapping) for path, from_test in _locations(source)]
    table = pl.concat(parts)
    if source.instruction is not None:
        table = table.with_columns(instruction=pl.lit(source.instruction))
    filled = {name: pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in ("instruction", "input", "output")}
    return table.with_columns(**filled).with_columns(pl.col("output").str.strip_chars())


def source_digests(source: SourceConfig) -> list[list[str]]:
    """Name and SHA-256 of each source file, training files first.

    Raises:
        DataError: a file is missing.
    """
    return [digest for path, _ in _locations(source) for digest in location_digests(path)]


def _locations(source: SourceConfig) -> list[tuple[str, bool]]:
    return [(source.path, False)] + ([(source.test_path, True)] if source.test_path else [])


def _mapping(source: SourceConfig, group_column: str | None) -> dict[str, str]:
    """Column of each canonical field that is read from the file. A constant instruction stands in place of a column."""
    named = source.columns or ColumnMapping()
    columns = {
        "instruction": named.instruction if source.instruction is None else None,
        "input": named.input,
        "output": named.output,
        "group_value": group_column,
    }
    return {field: column for field, column in columns.items() if column is not None}


def _read_location(location: str, from_test: bool, mapping: Mapping[str, str]) -> pl.DataFrame:
    found: dict[str, None] = {}
    occurrences: Counter[str] = Counter()
    rows = []
    for source in read_records(location):
        found |= dict.fromkeys(source.record or ())
        values, not_text = _cells(source, mapping)
        identity = [from_test, *values] if source.fault is None else [from_test, source.file, source.line, source.fault]
        content = sha256_json(identity)[:20]
        occurrences[content] += 1
        rows.append((f"{content}-{occurrences[content]}", from_test, source.file, source.line, *values, not_text, source.fault))
    if found:  # without a single readable record there are no columns to speak of
        _require_columns(location, mapping, list(found))
    return pl.DataFrame(rows, schema=TABLE, orient="row")


def _cells(source: SourceRecord, mapping: Mapping[str, str]) -> tuple[list[str | None], str | None]:
    """The texts of the canonical fields, and which of them are something else."""
    cells = {field: (source.record or {}).get(column) for field, column in mapping.items()}
    values = [_as_text(cells.get(field)) for field in ("instruction", "input", "output", "group_value")]
    faults = [f"{field} {fault}" for field in ("instruction", "input", "output") if (fault := _fault(cells.get(field)))]
    return values, "; ".join(faults) or None


def _require_columns(location: str, mapping: Mapping[str, str], found: list[str]) -> None:
    """`instruction` and `input` may be absent under their default names, as long as one of them is there to ask something."""
    defaults = ColumnMapping()
    asking = {field: mapping[field] for field in ("instruction", "input") if field in mapping}
    some_ask = any(column in found for column in asking.values())
    optional = {column for field, column in asking.items() if some_ask and column == getattr(defaults, field)}
    missing = [column for column in mapping.values() if column not in found and column not in optional]
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
    if value is None or (isinstance(value, str) and _is_unicode(value)):
        return value
    return json.dumps(value, default=str, ensure_ascii=True)


def _fault(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return None if _is_unicode(value) else "is not valid Unicode"
    return f"is of type {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    """JSON can escape half of a surrogate pair, which no encoder takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
