"""From files, folders, patterns, URLs and hub data sets to numbered raw records; and what bad files do."""

import csv
import gzip
import hashlib
import io
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline_config.errors import DataError
from tasks.data.readers import location_digests, read_records

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


@pytest.mark.parametrize(("name", "content", "first"), KINDS)
@pytest.mark.parametrize(("packing", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zst)])
def test_reads_each_kind_plain_and_packed(
    tmp_path: Path, name: str, content: bytes, first: int, packing: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / (name + packing)
    path.write_bytes(pack(content))
    assert records(path) == [(path.name, first + index, row) for index, row in enumerate(ROWS)]


def test_reads_parquet_row_by_row_over_several_batches(tmp_path: Path) -> None:
    rows = [{"text": str(number), "score": number / 2, "messages": [{"role": "user", "content": "x"}]} for number in range(600)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert records(tmp_path / "a.parquet") == [("a.parquet", number, row) for number, row in enumerate(rows, start=1)]


def test_a_chat_in_a_json_file_is_a_record_not_a_list_of_rows(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "x"}]}
    assert read(tmp_path / "a.json", json.dumps(chat).encode()) == [(1, chat)]


def test_two_packed_parts_behind_each_other_are_read_both(tmp_path: Path) -> None:
    for name, pack in (("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zst)):
        assert len(read(tmp_path / name, pack(LINES) + pack(LINES))) == 4


# Locations


def test_a_folder_is_read_in_the_order_of_names_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "a/b/c.csv", ".hidden.jsonl", ".git/d.jsonl", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(CELLS if name.endswith("csv") else LINES)
    assert [(file, line) for file, line, _ in records(tmp_path)] == [
        ("a/b/c.csv", 2),
        ("a/b/c.csv", 3),
        ("a/z.jsonl", 1),
        ("a/z.jsonl", 2),
        ("b.jsonl", 1),
        ("b.jsonl", 2),
    ]


def test_loops_of_links_end_and_each_real_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jsonl").write_bytes(LINES)
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "deep" / "again").symlink_to(tmp_path / "deep")
    (tmp_path / "same.jsonl").symlink_to(tmp_path / "deep" / "a.jsonl")
    for location in (tmp_path, tmp_path / "*" / "*.jsonl", tmp_path / "**" / "*.jsonl"):
        assert len(records(location)) == 2


def test_a_link_to_itself_is_refused_rather_than_lost(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_bytes(LINES)
    assert "the link leads to no file" in refusal(tmp_path / "a.jsonl")
    assert "the link leads to no file" in refusal(tmp_path)


def test_a_pattern_names_files_from_its_first_wildcard_on(tmp_path: Path) -> None:
    for name in ("x/part-1.jsonl", "x/part-2.jsonl", "y/part-1.jsonl", "x/other.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(LINES)
    assert {file for file, _, _ in records(str(tmp_path / "?" / "part-*.jsonl"))} == {"x/part-1.jsonl", "x/part-2.jsonl", "y/part-1.jsonl"}
    assert {file for file, _, _ in records(tmp_path / "x" / "*1.jsonl")} == {"part-1.jsonl"}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    assert len(read(tmp_path / "a[1].jsonl", LINES)) == 2


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    system = MemoryFileSystem()
    for name in ("a.jsonl", "part/b.csv", "part/.c.csv", "part/notes.txt"):
        system.pipe_file(f"/readers/{name}", CELLS if name.endswith("csv") else LINES)
    yield system
    system.rm("/readers", recursive=True)


@pytest.mark.parametrize(
    ("url", "files"),
    [
        ("memory://readers/a.jsonl", {"a.jsonl"}),
        ("memory://readers", {"a.jsonl", "part/b.csv"}),
        ("memory://readers/*/*.csv", {"part/b.csv"}),
    ],
)
@pytest.mark.usefixtures("memory")
def test_reads_a_file_a_folder_and_a_pattern_behind_a_url(url: str, files: set[str]) -> None:
    assert {file for file, _, _ in records(url)} == files
    assert [record for _, _, record in records(url)] == ROWS * len(files)


def test_reads_parquet_and_packed_text_behind_a_url(memory: MemoryFileSystem) -> None:
    memory.pipe_file("/readers/t.parquet", as_parquet(pyarrow.Table.from_pylist(ROWS)))
    memory.pipe_file("/readers/t.csv.gz", gzip.compress(CELLS))
    assert [record for _, _, record in records("memory://readers/t.*")] == ROWS * 2


@pytest.mark.usefixtures("memory")
def test_what_is_missing_behind_a_url_is_said() -> None:
    assert "did you mean `a.jsonl`?" in refusal("memory://readers/aa.jsonl")
    assert "folder does not exist either" in refusal("memory://nowhere/a.jsonl")
    assert "there are no data files" in refusal("memory://readers/*.tsv")
    assert "not supported" in refusal("memory://readers/part/notes.txt")


def test_an_unknown_protocol_is_refused_without_the_password() -> None:
    message = refusal("nosuch://me:secret@host/a.jsonl")
    assert "cannot be read" in message
    assert "nosuch://host/a.jsonl" in message
    assert "secret" not in message


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    assert len(records(f"file://{tmp_path}/a.jsonl")) == 2


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set as a folder, with class labels; the library's cache goes beside it."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    labels = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    for split, numbers in (("train", [0, 1, -1]), ("test", [1])):
        table = datasets.Dataset.from_dict({"text": [f"{split} {number}" for number in numbers], "label": numbers}, features=labels)
        table.to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    return tmp_path / "set"


def test_reads_a_hub_data_set_with_the_names_of_its_labels(hub: Path) -> None:
    assert records(f"hf:{hub}:test") == [("set:test", 1, {"text": "test 1", "label": "b"})]
    assert [row for _, _, row in records(f"hf:{hub}:train")] == [
        {"text": "train 0", "label": "a"},
        {"text": "train 1", "label": "b"},
        {"text": "train -1", "label": None},
    ]
    [[name, digest]] = location_digests(f"hf:{hub}:train")
    assert (name, len(digest)) == ("set:train", 64)


def test_a_hub_data_set_is_refused_with_the_splits_it_has(hub: Path) -> None:
    assert "train, test" in refusal(f"hf:{hub}")
    assert "validation" in refusal(f"hf:{hub}:validation")
    assert "cannot be read" in refusal(f"hf:{hub}/nowhere:train")
    assert "hf:NAME:SPLIT" in refusal("hf:")


# Digests


def test_digests_are_those_of_the_stored_bytes_sorted_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(LINES)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CELLS))
    expected = [[name, hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()] for name in ("a.csv.gz", "b.jsonl")]
    assert location_digests(tmp_path) == expected
    with pytest.raises(DataError, match="does not exist"):
        location_digests(tmp_path / "c.csv")


@pytest.mark.usefixtures("memory")
def test_digests_work_behind_a_url() -> None:
    assert location_digests("memory://readers/a.jsonl") == [["a.jsonl", hashlib.sha256(LINES).hexdigest()]]


# Files that are refused


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "tickets.jsonl").write_bytes(LINES)
    assert "did you mean `tickets.jsonl`?" in refusal(tmp_path / "tikets.jsonl")
    assert "folder does not exist either" in refusal(tmp_path / "nowhere" / "a.csv")
    assert "there are no data files" in refusal(tmp_path / "*.csv")


def test_a_folder_without_data_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "there are no data files" in refusal(tmp_path)
    assert "no regular file" in refusal(tmp_path / "pipe")


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


# What looks odd and is read as it stands


@pytest.mark.parametrize(("name", "content", "first"), KINDS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_reads_a_byte_order_mark_and_either_line_end(tmp_path: Path, name: str, content: bytes, first: int, end: bytes) -> None:
    found = read(tmp_path / name, b"\xef\xbb\xbf" + content.replace(b"\n", end))
    assert found == [(first + index, row) for index, row in enumerate(ROWS)]


def test_reads_a_quoted_field_over_several_lines_at_its_first(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", b'text,label\n"two\r\nlines, ""said""",a\nx,b\n')
    assert found == [(2, {"text": 'two\r\nlines, "said"', "label": "a"}), (4, {"text": "x", "label": "b"})]


def test_reads_a_nul_byte_in_a_cell_as_written(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"text,label\na\0b,c\n") == [(2, {"text": "a\0b", "label": "c"})]


@pytest.mark.parametrize(
    ("name", "before", "after"), [("a.jsonl", b'{"text": "', b'"}\n'), ("a.json", b'[{"text": "', b'"}]'), ("a.csv", b"text\n", b"\n")]
)
def test_reads_a_line_of_ten_megabytes(tmp_path: Path, name: str, before: bytes, after: bytes) -> None:
    [(_, record)] = read(tmp_path / name, before + b"x" * 10_000_000 + after)
    assert isinstance(record, dict)
    assert len(record["text"]) == 10_000_000


def test_keeps_mixed_types_of_a_column_and_infers_none(tmp_path: Path) -> None:
    values = [1, "1", None, True, [1], {"a": None}, 1.5]
    content = b"".join(json.dumps({"label": value}).encode() + b"\n" for value in values)
    assert [row for _, row in read(tmp_path / "a.jsonl", content)] == [{"label": value} for value in values]
    assert [row for _, row in read(tmp_path / "a.csv", b"label\n007\nNULL\nNaN\ntrue\n")] == [
        {"label": text} for text in ("007", "NULL", "NaN", "true")
    ]


def test_missing_labels_stay_visible(tmp_path: Path) -> None:
    found = read(tmp_path / "a.parquet", as_parquet(pyarrow.table({"label": pyarrow.array([None, float("nan")], "float64")})))
    assert [str(row) for _, row in found] == ["{'label': None}", "{'label': nan}"]
    [(_, record)] = read(tmp_path / "a.jsonl", b'{"label": NaN}\n')
    assert str(record) == "{'label': nan}"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    line = b"x" * 500 if name == "a.csv" else b'{"text": "%s"}' % (b"x" * 500)
    content = (line + b"\n") * 20_001
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    tracemalloc.start()
    rows = sum(1 for _ in read_records(tmp_path / name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows >= 20_000
    assert peak < 2_000_000 < len(content)


# Anything at all

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(rows=st.lists(st.fixed_dictionaries({"text": TEXTS, "label": TEXTS}), min_size=1, max_size=5))
def test_rows_written_as_csv_and_as_json_lines_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    cells = io.StringIO(newline="")
    csv.writer(cells).writerows([["text", "label"], *([row["text"], row["label"]] for row in rows)])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for name, text in (("a.csv", cells.getvalue()), ("a.jsonl", lines), ("a.json", lines), ("b.json", json.dumps(rows))):
        assert [row for _, row in read(folder / name, text.encode())] == rows


PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r", b"a", b"1", b"\xff", b"\xef\xbb\xbf", b"\0", b"{}\n", b"PAR1"]
)


@settings(max_examples=2 * settings().max_examples)
@given(
    content=st.lists(PIECES, max_size=20).map(b"".join),
    name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.csv.gz"]),
)
def test_any_bytes_are_records_faults_or_one_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    try:
        found = records(path)
    except DataError as error:
        assert str(path) in str(error)
        return
    assert found
    lines = [line.strip() for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if name == "a.jsonl" and lines[0] != b"{" and not lines[0].startswith(b"["):
        assert len(found) == len(lines)
