"""Files for the tests of readers, and what reading them comes to."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from pipeline_config.errors import DataError
from tasks.data.readers import read_records

ROWS: list[dict[str, object]] = [{"text": "one", "label": "a"}, {"text": "zwei ü", "label": "b"}]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
CELLS = "text,label\none,a\nzwei ü,b\n".encode()


def records(location: str | Path) -> list[tuple[str, int, Mapping[str, object] | str | None]]:
    found = list(read_records(location))
    assert all((item.record is None) != (item.fault is None) for item in found)
    return [(item.file, item.line, item.fault if item.record is None else item.record) for item in found]


def read(path: Path, content: bytes) -> list[tuple[int, Mapping[str, object] | str | None]]:
    path.write_bytes(content)
    return [(line, found) for _, line, found in records(path)]


def refusal(location: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_records(location))
    return str(caught.value)


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    message = refusal(path)
    assert str(path) in message
    return message


def as_parquet(table: pyarrow.Table) -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def zst(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


KINDS: list[tuple[str, bytes, int]] = [
    ("a.jsonl", LINES, 1),
    ("a.ndjson", LINES, 1),
    ("A.JSONL", LINES, 1),
    ("a.json", json.dumps(ROWS).encode(), 1),
    ("a.json", json.dumps(ROWS, indent=2).encode(), 1),
    ("a.json", json.dumps({"version": 1, "data": ROWS}).encode(), 1),
    ("a.json", json.dumps({"rows": ROWS}, indent=2).encode(), 1),
    ("a.json", LINES, 1),
    ("a.jsonl", json.dumps(ROWS, indent=1).encode(), 1),
    ("a.jsonl", json.dumps(ROWS).encode(), 1),
    ("a.csv", CELLS, 2),
    ("a.csv", CELLS.replace(b",", b";"), 2),
    ("a.tsv", CELLS.replace(b",", b"\t"), 2),
]
