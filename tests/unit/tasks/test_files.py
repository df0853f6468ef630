"""Files appear whole or not at all; digests follow every byte."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.files import file_digests, point_latest_at, read_json, sha256_bytes, sha256_file, sha256_json, write_atomically, write_json


def test_a_write_leaves_no_draft(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "file", b"content")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    assert (tmp_path / "a" / "file").read_bytes() == b"content"


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"ü": [1, None]})
    assert read_json(tmp_path / "x.json") == {"ü": [1, None]}


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a" * 3_000_000)
    assert sha256_file(tmp_path / "x") == sha256_bytes(b"a" * 3_000_000)


def test_digests_name_files_by_relative_path(tmp_path: Path) -> None:
    write_atomically(tmp_path / "b" / "c.txt", b"c")
    write_atomically(tmp_path / "a.txt", b"a")
    assert list(file_digests(tmp_path)) == ["a.txt", "b/c.txt"]
    assert list(file_digests(tmp_path, leave_out=["a.txt"])) == ["b/c.txt"]


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_change_a_digest(value: dict[str, int]) -> None:
    assert sha256_json(value) == sha256_json(dict(reversed(list(value.items()))))


def test_latest_always_names_the_newest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        point_latest_at(tmp_path / "runs" / name)
    assert (tmp_path / "runs" / "latest").resolve().name == "second"
