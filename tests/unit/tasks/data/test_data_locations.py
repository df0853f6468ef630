"""Which files a location names: paths, folders, patterns, URLs and hub data sets; and their digests."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline_config.errors import DataError
from tasks.data.readers import location_digests
from tests.unit.tasks.data.reader_files import CELLS, LINES, ROWS, as_parquet, read, records, refusal


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


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "tickets.jsonl").write_bytes(LINES)
    assert "did you mean `tickets.jsonl`?" in refusal(tmp_path / "tikets.jsonl")
    assert "folder does not exist either" in refusal(tmp_path / "nowhere" / "a.csv")
    assert "there are no data files" in refusal(tmp_path / "*.csv")


def test_a_folder_without_data_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "there are no data files" in refusal(tmp_path)
    assert "no regular file" in refusal(tmp_path / "pipe")
