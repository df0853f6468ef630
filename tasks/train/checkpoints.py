"""Trainer's checkpoints, made trustworthy: a manifest with digests is written last, and only whole checkpoints are resumed."""

import logging
from pathlib import Path

from tasks.files import file_digests, read_json, write_json

_MANIFEST = "tunegate_checkpoint.json"
_log = logging.getLogger(__name__)


def seal(checkpoint: Path) -> None:
    """Marks a checkpoint as whole."""
    write_json(checkpoint / _MANIFEST, file_digests(checkpoint, leave_out=[_MANIFEST]))


def newest_whole(folder: Path) -> Path | None:
    """The checkpoint with the highest step whose bytes are what was sealed. Trainer itself would trust the highest number."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for checkpoint in found:
        manifest = checkpoint / _MANIFEST
        if manifest.is_file() and read_json(manifest) == file_digests(checkpoint, leave_out=[_MANIFEST]):
            return checkpoint
        _log.warning("checkpoint %s is not whole and is passed over", checkpoint.name)
    return None
