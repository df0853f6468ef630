"""From a location to numbered raw records: JSON Lines, JSON, CSV, TSV and Parquet, here or behind a URL, and hub data sets.

A line that cannot be read becomes a record with a `fault` and the file goes on; a file that cannot be trusted as a whole raises. Files are
streamed: memory holds one line, one CSV row or one batch of a Parquet file. Only a JSON array (or an object around one) is read as a whole.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, cast

from pipeline_config.errors import DataError
from tasks.data.hub import hub_digest, is_hub, read_hub
from tasks.data.locations import PACKINGS, SourceFile, file_digest, find_files, first_line, listed, readable
from tasks.data.records import BATCH, SourceRecord, no_rows, read_batches

Stream = io.BufferedReader

_BOM = b"\xef\xbb\xbf"
_BUFFER = 1 << 16
_LONGEST = 1 << 26
"""Bytes of a line and characters of a CSV cell: what an unclosed quote or a missing line end may cost in memory."""
_BINARY = {
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"PK\x03\x04": "a ZIP archive, as .xlsx files are",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "Arrow data",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_TEXTUAL = {
    b"<!doctype": "HTML",
    b"<html": "HTML",
    b"<?xml": "XML",
    b"%pdf-": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer in place of the data",
}
"""How files begin that often bear the wrong name, in lower case."""
_TURNS = ("messages", "conversations", "prompt", "completion")
"""Arrays of objects that are one chat, never the rows of a file."""


def read_records(location: str | Path) -> Iterator[SourceRecord]:
    """Reads every record of a location, in the order of the files' names.

    A location is a file, a folder (all supported files below it; hidden ones are left out), a glob, any fsspec URL of these, or
    `hf:NAME[@revision][:split]`. Errors are raised while records are taken, not before.

    Raises:
        DataError: a file is missing, empty, unreadable, or not what its suffix says.
    """
    if is_hub(location):
        yield from read_hub(str(location))
        return
    for file in find_files(str(location)):
        yield from _read_file(file)


def location_digests(location: str | Path) -> list[list[str]]:
    """Name and SHA-256 of each file as it is stored, sorted by name; of a hub data set, the SHA-256 of its rows.

    Raises:
        DataError: a file is missing or unreadable.
    """
    if is_hub(location):
        return [hub_digest(str(location))]
    return sorted([file.name, file_digest(file)] for file in find_files(str(location)))


# From a file to records


def _read_file(file: SourceFile) -> Iterator[SourceRecord]:
    with readable(file.where), file.open() as opened:
        stream = _unpacked(file, io.BufferedReader(cast(io.RawIOBase, opened), _BUFFER))
        if not stream.peek():
            raise DataError("the file is empty", where=file.where, expected="at least one row")
        _require_kind(file, stream.peek())
        records = _READERS[file.suffix](file, stream)
        first = next(records, None)
        if first is None:
            raise no_rows(file.where)
        yield first
        yield from records


def _unpacked(file: SourceFile, stream: Stream) -> Stream:
    if not file.packing:
        return stream
    head = stream.peek()
    if head and not head.startswith(PACKINGS[file.packing]):
        raise _misnamed(file, "something else than compressed data", f"what {file.packing} stands for")
    if file.packing == ".gz":
        import gzip

        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stream)), _BUFFER)
    import pyarrow

    return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd"), _BUFFER)


def _require_kind(file: SourceFile, head: bytes) -> None:
    """Tells a file of another kind by its first bytes, so that it does not become a million unreadable lines."""
    is_parquet = file.suffix == ".parquet"
    if is_parquet and head.startswith(b"PAR1"):
        return
    found = _binary_kind(head) or ("something else" if is_parquet else _textual_kind(file.suffix, head.removeprefix(_BOM).lstrip()))
    if found:
        raise _misnamed(file, found, "Parquet" if is_parquet else f"UTF-8 text as {file.suffix} files hold it")


def _binary_kind(head: bytes) -> str | None:
    for signature, kind in _BINARY.items():
        # A header line may begin with the letters PAR1; no text holds a NUL beside them.
        if head.startswith(signature) and (0 in head or not signature.isascii()):
            return kind
    return "UTF-16 text or binary data" if 4 * head.count(0) > len(head) else None


def _textual_kind(suffix: str, start: bytes) -> str | None:
    kind = next((kind for signature, kind in _TEXTUAL.items() if start[:32].lower().startswith(signature)), None)
    if kind:
        return kind
    if suffix in (".csv", ".tsv"):
        return "JSON" if start.startswith((b"{", b"[{")) else None
    lines = start.splitlines()[:10]
    is_json = any(line.lstrip().startswith((b"{", b"[")) for line in lines)
    return None if is_json or not lines else "something else than JSON"


def _lines(file: SourceFile, stream: Stream) -> Iterator[tuple[int, bytes]]:
    number = 0
    while raw := stream.readline(_LONGEST + 1):
        number += 1
        if len(raw) > _LONGEST:
            raise _unreadable(
                file, number, f"it is longer than {_LONGEST >> 20} MiB", "line ends", "check that the file is what it should be"
            )
        yield number, raw.removeprefix(_BOM) if number == 1 else raw


def _read_json(file: SourceFile, stream: Stream) -> Iterator[SourceRecord]:
    """JSON lines or one JSON document, whatever the suffix says: both are common under either name."""
    lines = ((number, raw) for number, raw in _lines(file, stream) if raw.strip())
    if (first := next(lines, None)) is None:
        return
    if _begins_document(file, first[1], alone=not stream.peek().strip()):
        yield from _read_document(file, b"\n" * (first[0] - 1) + first[1] + stream.read())
        return
    for number, raw in chain([first], lines):
        record, fault = _parse_object(raw)
        yield SourceRecord(file.name, number, record, fault)


def _begins_document(file: SourceFile, line: bytes, *, alone: bool) -> bool:
    """Whether the file goes on where a line of JSON lines would be over."""
    try:
        value = _parse_json(line)
    except json.JSONDecodeError:
        return line.lstrip().startswith(b"[") or (file.suffix == ".json" and not alone) or line.strip() == b"{"
    except (ValueError, RecursionError):
        return line.lstrip().startswith(b"[")
    if isinstance(value, list):
        return file.suffix == ".json" or (bool(value) and all(isinstance(item, dict) for item in value))
    return alone and file.suffix == ".json" and isinstance(value, dict) and bool(_arrays(value))


def _read_document(file: SourceFile, content: bytes) -> Iterator[SourceRecord]:
    try:
        rows = _rows_of(file, _parse_json(content))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the file is not JSON: {_json_fault(error)}", where=file.where, expected="an array of objects") from error
    for number, row in enumerate(rows, start=1):
        record, fault = (row, None) if isinstance(row, dict) else (None, _not_an_object(row))
        yield SourceRecord(file.name, number, record, fault)


def _rows_of(file: SourceFile, document: object) -> list[object]:
    if isinstance(document, list):
        return document
    arrays = _arrays(document) if isinstance(document, dict) else {}
    if len(arrays) != 1:
        found = f"an object with {len(arrays)} arrays of objects" if isinstance(document, dict) else f"a {type(document).__name__}"
        raise DataError(
            f"the rows cannot be found in {found}",
            where=file.where,
            expected='an array of objects, or an object with one such array, as in {"data": [...]}',
            hint=f"several fit: {listed(arrays)}" if arrays else "write one object on each line and name the file .jsonl",
        )
    return arrays.popitem()[1]


def _arrays(document: Mapping[str, object]) -> dict[str, list[object]]:
    wanted = {key: value for key, value in document.items() if key not in _TURNS}
    return {key: value for key, value in wanted.items() if isinstance(value, list) and any(isinstance(item, dict) for item in value)}


def _parse_object(raw: bytes) -> tuple[Mapping[str, object] | None, str | None]:
    try:
        value = _parse_json(raw.rstrip(b"\r\n"))
    except (ValueError, RecursionError) as error:
        return None, _json_fault(error)
    return (value, None) if isinstance(value, dict) else (None, _not_an_object(value))


def _parse_json(raw: bytes) -> Any:
    return json.loads(raw.decode(), object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """json would keep the last value of a repeated key and lose the others without a word."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("an object repeats a key")
    return record


def _json_fault(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        return f"{error.msg.removesuffix(' at')} at {place}character {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else first_line(error)


def _not_an_object(value: object) -> str:
    return f"got a value of type {type(value).__name__} in place of an object"


class _Decoded:
    """Lines as text for the csv module. What is not UTF-8 is replaced, and said in `faults`."""

    def __init__(self, lines: Iterator[tuple[int, bytes]]) -> None:
        self._lines = lines
        self.last, self.faults = "", list[str]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, raw = next(self._lines)
        try:
            self.last = raw.decode()
        except UnicodeDecodeError as error:
            self.faults.append(f"byte {error.start + 1} of line {number} is not UTF-8")
            self.last = raw.decode(errors="replace")
        return self.last


def _read_cells(file: SourceFile, stream: Stream) -> Iterator[SourceRecord]:
    """A header line, then rows; double quotes around cells, doubled inside them. A cell may go over several lines."""
    csv.field_size_limit(max(_LONGEST, csv.field_size_limit()))
    text = _Decoded(_lines(file, stream))
    reader = csv.reader(text, delimiter=_delimiter(file, stream.peek()), strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        text.faults.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = str(error).split(" - ")[0]
            # After an odd number of quotes nobody knows where the next row begins.
            if header is None or reader.line_num > start or text.last.count('"') % 2:
                raise _unreadable(file, start, fault, "quotes closed, and doubled inside quotes", "look for a stray quote there") from error
            yield SourceRecord(file.name, start, fault=fault)
            continue
        if cells and header is None:
            header = _checked_header(file, start, cells, text.faults)
        elif cells and header is not None:
            yield _row(file, start, header, cells, text.faults)


def _delimiter(file: SourceFile, head: bytes) -> str:
    """Spreadsheets of many countries write semicolons into .csv: taken where the header has one and no comma."""
    header = head.removeprefix(_BOM).lstrip().partition(b"\n")[0]
    if file.suffix == ".tsv":
        return "\t"
    return ";" if b";" in header and b"," not in header else ","


def _checked_header(file: SourceFile, line: int, names: list[str], faults: list[str]) -> list[str]:
    if faults:
        raise _unreadable(file, line, faults[0], "UTF-8 text", "save the file as UTF-8")
    _require_different(file, names)
    return names


def _row(file: SourceFile, line: int, header: list[str], cells: list[str], faults: list[str]) -> SourceRecord:
    if faults:
        return SourceRecord(file.name, line, fault="; ".join(faults))
    if len(cells) != len(header):
        return SourceRecord(file.name, line, fault=f"got {len(cells)} values where the header has {len(header)}")
    return SourceRecord(file.name, line, dict(zip(header, cells, strict=True)))


def _read_parquet(file: SourceFile, stream: Stream) -> Iterator[SourceRecord]:
    from pyarrow.parquet import ParquetFile

    table = ParquetFile(stream)
    _require_different(file, table.schema_arrow.names)
    yield from read_batches(file.name, table.iter_batches(batch_size=BATCH))


_READERS: dict[str, Callable[[SourceFile, Stream], Iterator[SourceRecord]]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_cells,
    ".tsv": _read_cells,
    ".parquet": _read_parquet,
}


# Errors


def _misnamed(file: SourceFile, found: str, expected: str) -> DataError:
    return DataError(
        f"the file holds {found}", where=file.where, expected=expected, hint="give the file the suffix of what it holds, or convert it"
    )


def _require_different(file: SourceFile, names: list[str]) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(
            f"the header repeats {listed(f'`{name}`' for name in repeated)}",
            where=file.where,
            expected="a different name for each column",
            hint="rename or remove one of them",
        )


def _unreadable(file: SourceFile, line: int, what: str, expected: str, hint: str) -> DataError:
    return DataError(f"the line cannot be read: {what}", where=f"{file.where}, line {line}", expected=expected, hint=hint)
