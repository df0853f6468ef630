"""Reads JSONL, CSV and Parquet files into the canonical table, through configuration alone.

The canonical table has the columns of :data:`TABLE`. Outer white space of an answer is cut off (answers are compared without it), and a
blank field is null; texts to work on stay as they were written.
"""

import csv
import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from pipeline_config.data import ColumnMapping, SourceConfig
from pipeline_config.errors import DataError
from tasks.files import sha256_file, sha256_json

Record = Mapping[str, object]
Numbered = tuple[int, Record]
"""A record and where it starts: the line of a text file, the row of a Parquet file; both count from 1."""

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
    }
)
"""One line for each row read. `not_text` says which fields hold something else than text, and what; null where there are none."""

_BOM = b"\xef\xbb\xbf"
_SHOWN = 20
"""Names listed in a message; more would hide the message."""


def read_table(source: SourceConfig, group_column: str | None) -> pl.DataFrame:
    """Reads the training file and, if there is one, the test file.

    Args:
        group_column: column whose value goes to `group_value`.

    Raises:
        DataError: a file is missing, empty or unreadable, or lacks a column.
    """
    mapping = _mapping(source, group_column)
    parts = [_read_file(path, from_test, mapping) for path, from_test in _files(source)]
    table = pl.concat(parts)
    if source.instruction is not None:
        table = table.with_columns(instruction=pl.lit(source.instruction))
    filled = {name: pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in ("instruction", "input", "output")}
    return table.with_columns(**filled).with_columns(pl.col("output").str.strip_chars())


def source_digests(source: SourceConfig) -> list[list[str]]:
    """Name and SHA-256 of each source file.

    Raises:
        DataError: a file is missing.
    """
    files = _files(source)
    for path, _ in files:
        _require_file(path)
    return [[path.name, sha256_file(path)] for path, _ in files]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"did you mean `{close[0]}`?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names for a message, cut off where they would hide it."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _files(source: SourceConfig) -> list[tuple[Path, bool]]:
    return [(source.path, False)] + ([(source.test_path, True)] if source.test_path else [])


def _mapping(source: SourceConfig, group_column: str | None) -> dict[str, str]:
    """Column of each canonical field that is read from the file. A constant instruction stands in place of a column."""
    columns = {
        "instruction": source.columns.instruction if source.instruction is None else None,
        "input": source.columns.input,
        "output": source.columns.output,
        "group_value": group_column,
    }
    return {field: column for field, column in columns.items() if column is not None}


def _read_file(path: Path, from_test: bool, mapping: Mapping[str, str]) -> pl.DataFrame:
    _require_file(path)
    found: dict[str, None] = {}
    occurrences: Counter[str] = Counter()
    rows = []
    for line, record in _reader_of(path)(path):
        found |= dict.fromkeys(record)
        cells = {field: record.get(column) for field, column in mapping.items()}
        values = [_as_text(cells.get(field)) for field in ("instruction", "input", "output", "group_value")]
        faults = [f"{field} {fault}" for field in ("instruction", "input", "output") if (fault := _fault(cells.get(field)))]
        content = sha256_json([from_test, *values])[:20]
        occurrences[content] += 1
        row_id = f"{content}-{occurrences[content]}"
        rows.append((row_id, from_test, path.name, line, *values, "; ".join(faults) or None))
    if not rows:
        raise DataError(
            "the file is empty" if path.stat().st_size == 0 else "the file has no rows", where=str(path), expected="at least one row"
        )
    _require_columns(path, mapping, list(found))
    return pl.DataFrame(rows, schema=TABLE, orient="row")


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise DataError("the path is a folder", where=str(path), expected="a .jsonl, .csv or .parquet file")
    if not path.parent.is_dir():
        raise DataError("the file does not exist", where=str(path), hint=f"there is no folder {path.parent}; check data.source")
    near = did_you_mean(path.name, sorted(entry.name for entry in path.parent.iterdir()))
    raise DataError("the file does not exist", where=str(path), hint=near or "check data.source")


def _require_columns(path: Path, mapping: Mapping[str, str], found: list[str]) -> None:
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
            where=str(path),
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


def _lines(path: Path) -> Iterator[str]:
    """Lines with their ends, without a byte order mark.

    Raises:
        DataError: a line is not UTF-8.
    """
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                yield (raw.removeprefix(_BOM) if number == 1 else raw).decode("utf-8")
            except UnicodeDecodeError as error:
                raise _unreadable(path, number, f"byte {error.start + 1} is not UTF-8", "UTF-8 text", "save the file as UTF-8") from error


def _read_jsonl(path: Path) -> Iterator[Numbered]:
    for number, text in enumerate(_lines(path), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, number, str(error), "one JSON object on each line") from error
        if not isinstance(record, dict):
            raise _unreadable(path, number, f"got a {type(record).__name__}", "one JSON object on each line")
        yield number, record


def _read_csv(path: Path) -> Iterator[Numbered]:
    """Commas, double quotes, and a header line."""
    reader = csv.reader(_lines(path), strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(path, start, str(error), "comma-separated values, quotes doubled inside quotes") from error
        if not fields:
            continue
        if header is None:
            header = _checked_header(path, fields)
        elif len(fields) != len(header):
            raise _unreadable(path, start, f"got {len(fields)} values", f"{len(header)} values, as the header has")
        else:
            yield start, dict(zip(header, fields, strict=True))


def _checked_header(path: Path, names: list[str]) -> list[str]:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise _unreadable(path, 1, f"the header repeats {listed(f'`{name}`' for name in repeated)}", "a different name for each column")
    return names


def _read_parquet(path: Path) -> Iterator[Numbered]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"the file cannot be read: {first}", where=str(path), expected="a Parquet file") from error
    yield from enumerate(frame.iter_rows(named=True), start=1)


def _unreadable(path: Path, line: int, what: str, expected: str, hint: str = "repair or remove the line") -> DataError:
    return DataError(f"the line cannot be read: {what}", where=f"{path}, line {line}", expected=expected, hint=hint)


_READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}


def _reader_of(path: Path) -> Callable[[Path], Iterator[Numbered]]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"files that end in {path.suffix or 'no suffix'!r} are not supported", where=str(path), expected=f"one of {listed(_READERS)}"
        )
    return reader
