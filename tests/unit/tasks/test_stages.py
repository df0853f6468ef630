"""A stage runs once for each key, is reused while it is whole, and is made again when it is not."""

from pathlib import Path

import pytest

from tasks.artifacts import Record
from tasks.stages import SCRATCH, StageResult, run_stage


class Sum(Record):
    folder: Path
    total: int


def add(store: Path, *numbers: int, calls: list[int] | None = None) -> StageResult[Sum]:
    def build(folder: Path) -> Sum:
        (calls if calls is not None else []).append(1)
        (folder / "numbers.txt").write_text(" ".join(map(str, numbers)))
        (folder / SCRATCH).mkdir()
        return Sum(folder=folder, total=sum(numbers))

    return run_stage(store, "add", {"numbers": numbers}, Sum, build)


def test_the_same_inputs_are_computed_once(tmp_path: Path) -> None:
    calls: list[int] = []
    first, second = add(tmp_path, 1, 2, calls=calls), add(tmp_path, 1, 2, calls=calls)
    assert len(calls) == 1
    assert (first.reused, second.reused) == (False, True)
    assert second.value == first.value
    assert (second.value.folder / "numbers.txt").read_text() == "1 2"


def test_other_inputs_have_another_key(tmp_path: Path) -> None:
    assert add(tmp_path, 1).key != add(tmp_path, 2).key


def test_a_damaged_file_is_noticed_and_the_stage_is_made_again(tmp_path: Path) -> None:
    first = add(tmp_path, 1, 2)
    (first.value.folder / "numbers.txt").write_text("1 3")
    again = add(tmp_path, 1, 2)
    assert not again.reused
    assert (again.value.folder / "numbers.txt").read_text() == "1 2"


@pytest.mark.parametrize("change", ["remove", "add"])
def test_a_missing_or_foreign_file_is_noticed(tmp_path: Path, change: str) -> None:
    first = add(tmp_path, 1, 2)
    if change == "remove":
        (first.value.folder / "numbers.txt").unlink()
    else:
        (first.value.folder / "foreign.txt").write_text("")
    assert not add(tmp_path, 1, 2).reused


def test_scratch_is_gone_when_the_stage_is_complete(tmp_path: Path) -> None:
    assert not (add(tmp_path, 1).value.folder / SCRATCH).exists()


def test_a_failed_stage_leaves_no_result_but_keeps_its_folder_for_the_next_try(tmp_path: Path) -> None:
    def fail(folder: Path) -> Sum:
        (folder / "partial").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        run_stage(tmp_path, "add", {"numbers": [5]}, Sum, fail)

    def go_on(folder: Path) -> Sum:
        return Sum(folder=folder, total=len((folder / "partial").read_text()))

    resumed = run_stage(tmp_path, "add", {"numbers": [5]}, Sum, go_on)
    assert (resumed.reused, resumed.value.total) == (False, 4)


def test_no_stored_record_names_a_folder(tmp_path: Path) -> None:
    result = add(tmp_path, 1)
    assert str(tmp_path) not in (result.value.folder / "record.json").read_text()
