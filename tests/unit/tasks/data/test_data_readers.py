"""From files to numbered raw records, whatever they are written as."""

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_config.errors import DataError
from tasks.data.readers import read_records
from tests.unit.tasks.data.reader_files import KINDS, LINES, ROWS, as_parquet, read, records, zst


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
