"""Only a checkpoint whose bytes are what was sealed is gone on from."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.train.checkpoints import discard_newer, newest_whole, seal


def checkpoint(folder: Path, step: int, best: int | None = None) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "trained.safetensors").write_bytes(b"weights of many numbers" * 100)
    (made / "optimizer.pt").write_bytes(b"state" * 100)
    best_folder = str(folder / f"checkpoint-{best}") if best is not None else None
    (made / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best_folder}))
    seal(made)
    return made


def test_the_highest_step_is_newest_not_the_last_name(tmp_path: Path) -> None:
    for step in (9, 10, 2):
        checkpoint(tmp_path, step)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-10"


def truncate(made: Path) -> None:
    content = (made / "optimizer.pt").read_bytes()
    (made / "optimizer.pt").write_bytes(content[: len(content) // 2])


def lose_a_file(made: Path) -> None:
    (made / "trained.safetensors").unlink()


def never_seal(made: Path) -> None:
    (made / "tunegate_checkpoint.json").unlink()


def tear_the_manifest(made: Path) -> None:
    (made / "tunegate_checkpoint.json").write_bytes(b'{"optimizer.pt": "ab')


def add_a_file(made: Path) -> None:
    (made / "rng_state.pth").write_bytes(b"from another run")


@pytest.mark.parametrize("damage", [truncate, lose_a_file, never_seal, tear_the_manifest, add_a_file])
def test_a_checkpoint_that_is_not_whole_is_passed_over_and_removed(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    whole = checkpoint(tmp_path, 3)
    damage(checkpoint(tmp_path, 6))
    assert newest_whole(tmp_path) == whole
    assert discard_newer(tmp_path, whole) == ["checkpoint-6"]
    assert list(tmp_path.iterdir()) == [whole]


def test_one_whose_best_checkpoint_is_damaged_is_passed_over(tmp_path: Path) -> None:
    first = checkpoint(tmp_path, 3)
    truncate(checkpoint(tmp_path, 6))
    checkpoint(tmp_path, 9, best=6)
    assert newest_whole(tmp_path) == first
    assert discard_newer(tmp_path, first) == ["checkpoint-9", "checkpoint-6"]


def test_one_whose_best_checkpoint_is_gone_is_passed_over(tmp_path: Path) -> None:
    best = checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 6, best=3)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-6"
    shutil.rmtree(best)
    assert newest_whole(tmp_path) is None


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert newest_whole(tmp_path / "absent") is None
    assert discard_newer(tmp_path / "absent", None) == []
