"""Runs a stage once for each content key, and reuses what is still whole.

A stage's result lies in `store/<stage>/<key>`. The key digests everything that the result depends on: the inputs' digests, the part of
the configuration that the stage reads, and the code. `record.json` is written last and names every file with its digest, so a killed
stage leaves no result, and a damaged result is noticed and made again.
"""

import functools
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tasks.artifacts import Record, StageRecord
from tasks.files import exclusive, file_digests, read_json, sha256_json, write_json

RECORD = "record.json"
SCRATCH = "scratch"
"""Folder inside a stage's folder for what only an unfinished stage needs (checkpoints); removed when it completes."""

T = TypeVar("T", bound=Record)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageResult(Generic[T]):
    """A stage's value, and how it came about."""

    name: str
    value: T
    key: str
    seconds: float
    reused: bool

    def following(self, earlier: "StageResult[Any]", name: str) -> "StageResult[T]":
        """The same value, under one name with a stage before it: the seconds of both, and reused if both were."""
        return StageResult(name, self.value, self.key, earlier.seconds + self.seconds, earlier.reused and self.reused)

    def record(self) -> StageRecord:
        """The line of this stage in the run's summary."""
        return StageRecord(name=self.name, status="reused" if self.reused else "completed", seconds=self.seconds, reused=self.reused)


def run_stage(store: Path, name: str, inputs: Mapping[str, Any], record: type[T], build: Callable[[Path], T]) -> StageResult[T]:
    """Reuses a completed result with the same inputs, or builds it.

    Args:
        store: root of the stage store.
        inputs: JSON values that the result depends on; digests for files, never paths.
        record: type of the result. A field `folder` is filled with the stage's folder.
        build: makes the result in the folder that it is given. What an interrupted call left there is still there on the next one.
    """
    started = time.monotonic()
    key = sha256_json({"stage": name, "code": code_digest(), "inputs": inputs})[:32]
    folder = store / name / key
    with exclusive(store / name / f"{key}.lock"):
        value = _load(folder, record)
        reused = value is not None
        if value is None:
            folder.mkdir(parents=True, exist_ok=True)
            value = build(folder)
            _commit(folder, value)
    return StageResult(name, value, key, time.monotonic() - started, reused)


@functools.cache
def code_digest() -> str:
    """Digest of the source of `tasks` and `pipeline_config`: other code, other results."""
    root = Path(__file__).parent
    sources = sorted(path for package in (root, root.parent / "pipeline_config") for path in package.rglob("*.py"))
    return sha256_json([[path.name, path.read_text(encoding="utf-8")] for path in sources])


def _commit(folder: Path, value: Record) -> None:
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    content = value.model_dump(mode="json", exclude={"folder"})
    write_json(folder / RECORD, {"record": content, "files": file_digests(folder, leave_out=[RECORD])})


def _load(folder: Path, record: type[T]) -> T | None:
    if not (folder / RECORD).is_file():
        return None
    stored = read_json(folder / RECORD)
    if file_digests(folder, leave_out=[RECORD]) != stored["files"]:
        _log.warning("a stored result of stage %s no longer matches its digests and is made again (%s)", folder.parent.name, folder)
        shutil.rmtree(folder)
        return None
    return record.model_validate(stored["record"] | ({"folder": folder} if "folder" in record.model_fields else {}))
