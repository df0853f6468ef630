"""Trainer's checkpoints, made trustworthy: a manifest with digests is written last, and only whole checkpoints are resumed."""

import shutil
from pathlib import Path

from tasks.files import file_digests, read_json, write_json

_MANIFEST = "tunegate_checkpoint.json"
_STATE = "trainer_state.json"


def seal(checkpoint: Path) -> None:
    """Marks a checkpoint as whole."""
    write_json(checkpoint / _MANIFEST, file_digests(checkpoint, leave_out=[_MANIFEST]))


def newest_whole(folder: Path) -> Path | None:
    """The checkpoint with the highest step whose bytes are what was sealed, and so are those of the best one before it, which it names.

    Trainer itself would trust the highest number.
    """
    return next((checkpoint for checkpoint in _newest_first(folder) if _is_whole(checkpoint) and _best_is_whole(checkpoint)), None)


def discard_newer(folder: Path, kept: Path | None) -> list[str]:
    """Deletes what was passed over for `kept`: Trainer would count it among those it keeps, and delete a whole one in its place.

    Returns:
        The names of what was deleted.
    """
    newer = [checkpoint for checkpoint in _newest_first(folder) if kept is None or step_of(checkpoint) > step_of(kept)]
    for checkpoint in newer:
        shutil.rmtree(checkpoint)
    return [checkpoint.name for checkpoint in newer]


def step_of(checkpoint: Path) -> int:
    """The optimizer step that it was written after."""
    return int(checkpoint.name.rpartition("-")[2])


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True)


def _is_whole(checkpoint: Path) -> bool:
    try:
        sealed = read_json(checkpoint / _MANIFEST)
    except (OSError, ValueError):
        return False
    return bool(sealed == file_digests(checkpoint, leave_out=[_MANIFEST]))


def _best_is_whole(checkpoint: Path) -> bool:
    best = read_json(checkpoint / _STATE)["best_model_checkpoint"]
    return best is None or Path(best).name == checkpoint.name or _is_whole(Path(best))
