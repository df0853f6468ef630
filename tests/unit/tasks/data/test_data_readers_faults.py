"""What bad files do: one clear error, or one record that is faulty."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from tests.unit.tasks.data.reader_files import CELLS, LINES, ROWS, as_parquet, read, refused, zst


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.parquet.gz", "a.csv.bz2"])
def test_an_unsupported_suffix_is_refused(tmp_path: Path, name: str) -> None:
    assert ".jsonl, .ndjson, .json, .csv, .tsv, .parquet" in refused(tmp_path / name, b"x")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b""),
        ("a.json", b""),
        ("a.csv", b""),
        ("a.parquet", b""),
        ("a.csv.gz", b""),
        ("a.csv.gz", gzip.compress(b"", mtime=0)),
        ("a.csv.zst", b""),
    ],
)
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert "the file is empty" in refused(tmp_path / name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,label\n"),
        ("a.csv", b"text,label"),
        ("a.tsv", b"text\tlabel\r\n\r\n"),
        ("a.jsonl", b"\n \n"),
        ("a.json", b"[]"),
        ("a.json", b"[\n]\n"),
        ("a.parquet", as_parquet(pyarrow.table({"text": pyarrow.array([], "string")}))),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert "the file has no rows" in refused(tmp_path / name, content)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", CELLS.decode().encode("utf-16"), "UTF-16 text"),
        ("a.jsonl", LINES.decode().encode("utf-16-be"), "UTF-16 text or binary data"),
        ("a.jsonl", bytes(5000), "UTF-16 text or binary data"),
        ("a.jsonl", as_parquet(pyarrow.table({"a": ["b"]})), "Parquet"),
        ("a.csv", gzip.compress(CELLS, mtime=0), "gzip data"),
        ("a.csv", zst(CELLS), "Zstandard data"),
        ("a.csv", b"PK\x03\x04\x14\x00\x06\x00", "a ZIP archive, as .xlsx files are"),
        ("a.jsonl", b"<!DOCTYPE html><p>Not found", "HTML"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "something else"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer in place of the data"),
        ("a.jsonl", CELLS, "something else than JSON"),
        ("a.json", b"text\n", "something else than JSON"),
        ("a.csv", LINES, "JSON"),
        ("a.tsv", json.dumps(ROWS).encode(), "JSON"),
        ("a.parquet", CELLS, "something else"),
        ("a.csv.gz", CELLS, "something else than compressed data"),
        ("a.csv.zst", CELLS, "something else than compressed data"),
    ],
)
def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    assert f"the file holds {found}\n" in refused(tmp_path / name, content)


@pytest.mark.parametrize("header", [b"par1,label", b"PAR1,label", b"ARROW1,label"])
def test_a_header_may_begin_as_a_binary_file_does(tmp_path: Path, header: bytes) -> None:
    assert len(read(tmp_path / "a.csv", header + b"\nx,y\n")) == 1


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zst), ("a.json.gz", gzip.compress)])
def test_a_truncated_packed_file_is_refused(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    rows = b"".join(b'{"text": "%d"}\n' % (number * 7919 % 10007) for number in range(5000))
    assert "the file cannot be read" in refused(tmp_path / name, pack(rows)[:-20])


def test_a_damaged_packed_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(LINES * 100))
    content[-6] ^= 1
    assert "CRC" in refused(tmp_path / "a.jsonl.gz", bytes(content))


@pytest.mark.parametrize("keep", [4, 40, -9])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, keep: int) -> None:
    assert "the file cannot be read" in refused(tmp_path / "a.parquet", as_parquet(pyarrow.Table.from_pylist(ROWS))[:keep])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,label,text\na,b,c\n"),
        ("a.tsv", b"text\ttext\na\tb\n"),
        ("a.parquet", as_parquet(pyarrow.table([["x"], ["y"]], names=["text", "text"]))),
    ],
)
def test_a_repeated_column_name_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert "the header repeats `text`" in refused(tmp_path / name, content)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'[{"a": 1},\n {"a": }]', "Expecting value at line 2, character 8"),
        (b'[{"a": 1}, {"a": "caf\xe9"}]', "byte 22 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"a": 1, "a": 2}]', "repeats a key"),
        (b'{\n"a": 1}', "an object with 0 arrays"),
        (b'{"data": [{"a": 1}],\n"rows": [{"a": 1}]}', "several fit: data, rows"),
    ],
)
def test_a_broken_json_document_is_refused_as_a_whole(tmp_path: Path, content: bytes, what: str) -> None:
    assert what in refused(tmp_path / "a.json", content)


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b'text,label\na,b\n"never closed,b\nc,d\n', 3, "unexpected end of data"),
        (b'text,label\na,b\nc,"never closed', 3, "unexpected end of data"),
        (b'text,label\n"open,b\nc,"d"\n', 2, "',' expected"),
        (b'text,label\n"a"b,"two\nlines",c\n', 2, "',' expected"),
        (b'text,"label\na,b\n', 1, "unexpected end of data"),
        (b"text,caf\xe9\na,b\n", 1, "byte 9 of line 1 is not UTF-8"),
        (b"text,label\ra,b\r", 1, "new-line character"),
    ],
)
def test_csv_that_leaves_open_where_rows_begin_is_refused_by_its_line(tmp_path: Path, content: bytes, line: int, what: str) -> None:
    message = refused(tmp_path / "a.csv", content)
    assert f"a.csv, line {line}" in message
    assert what in message


# Lines that are faulty while the file goes on


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"text": ', "Expecting value at character 10"),
        (b'["a"]', "got a value of type list in place of an object"),
        (b"3", "got a value of type int in place of an object"),
        (b"null", "got a value of type NoneType in place of an object"),
        (b'{"a": ' + b"[" * 100_000, "it is nested too deeply"),
        (b'{"text": "caf\xe9"}', "byte 14 is not UTF-8"),
        (b'{"text": "a\0b"}', "Invalid control character at character 12"),
        (b'{"text": 1, "text": 2}', "an object repeats a key"),
        (b'{"text": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_a_faulty_json_line_costs_one_record(tmp_path: Path, line: bytes, fault: str) -> None:
    first, second, last = read(tmp_path / "a.jsonl", b'{"a": 1}\n' + line + b'\n\n{"a": 2}\n')
    assert (first, last) == ((1, {"a": 1}), (4, {"a": 2}))
    assert second[0] == 2
    assert str(second[1]).startswith(fault)
    assert read(tmp_path / "b.jsonl", line + b'\n{"a": 2}\n')[1] == (2, {"a": 2})


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"a,b,c", "got 3 values where the header has 2"),
        (b"a", "got 1 values where the header has 2"),
        (b"caf\xe9,b", "byte 4 of line 3 is not UTF-8"),
        (b'"He said "hi" to me",b', "',' expected after '\"'"),
        (b"a\rb,c", "new-line character seen in unquoted field"),
    ],
)
def test_a_faulty_csv_line_costs_one_record(tmp_path: Path, line: bytes, fault: str) -> None:
    found = read(tmp_path / "a.csv", b"text,label\na,b\n" + line + b"\n\nc,d\n")
    assert found == [(2, {"text": "a", "label": "b"}), (3, fault), (5, {"text": "c", "label": "d"})]


def test_a_faulty_text_in_parquet_costs_one_record(tmp_path: Path) -> None:
    offsets = pyarrow.py_buffer(b"".join(value.to_bytes(4, "little") for value in (0, 1, 2, 3)))
    texts = pyarrow.StringArray.from_buffers(3, offsets, pyarrow.py_buffer(b"a\xffc"))
    found = read(tmp_path / "a.parquet", as_parquet(pyarrow.table({"text": texts})))
    assert found == [(1, {"text": "a"}), (2, "a text is not UTF-8"), (3, {"text": "c"})]


def test_a_date_that_python_cannot_hold_costs_one_record_and_is_not_shown(tmp_path: Path) -> None:
    table = pyarrow.table({"when": pyarrow.array([0, 2**62], pyarrow.timestamp("ms"))})
    (_, first), (_, second) = read(tmp_path / "a.parquet", as_parquet(table))
    assert isinstance(first, dict)
    assert str(second).startswith("a value cannot be read (")


def test_an_element_of_an_array_that_is_no_object_costs_one_record(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", b'[{"a": 1}, 3, {"a": 2}]')
    assert found == [(1, {"a": 1}), (2, "got a value of type int in place of an object"), (3, {"a": 2})]
