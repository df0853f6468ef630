"""One run of the overfitting benchmark, from its rows to its stored record; a run that has a record is never trained again."""

import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.overfit_runs import Run, write_data
from pipeline_config.environment import read_machine
from pipeline_config.errors import TrainingError
from pipeline_config.model import ModelConfig
from tasks.files import read_json, write_atomically, write_json
from tasks.revision import code_revision
from tasks.train.events import Failed, Finished, TrainingRequest, parse
from tasks.train.process import run_child

_MAX_NEW_TOKENS = 16
"""Written into the artifact's manifest; nothing here generates."""


class Stored(TypedDict):
    """What is kept of a run: its settings, its curve (`CurvePoint` as JSON), what ships, and what the observer measured."""

    run: dict[str, Any]
    curve: list[dict[str, Any]]
    shipped_step: int
    measured: dict[str, dict[str, Any]]
    seconds: float
    revision: str | None


def record_file(run: Run, folder: Path) -> Path:
    """Where a run's record belongs."""
    return folder / f"{run.name}.json"


def stored_before(run: Run, folder: Path) -> Stored | None:
    """The record of a run; null if it has not been trained."""
    path = record_file(run, folder)
    stored: Stored | None = read_json(path) if path.is_file() else None
    return stored


def train_run(run: Run, banking: Path, folder: Path, threads: int | None = None) -> Stored:
    """Trains, and stores the record. What training itself leaves behind is deleted.

    Args:
        threads: of the training process; null: as many as it wants.

    Raises:
        DataError: there are too few rows.
        TrainingError: the process failed; its log stays.
    """
    began, home = time.monotonic(), folder / "training" / run.name
    shutil.rmtree(home, ignore_errors=True)  # a killed run begins again: its measurements would have a gap
    (home / "out").mkdir(parents=True)
    instruction = write_data(run, banking, home / "data")
    finished = _train(_request(run, home, instruction), home, threads)
    stored: Stored = {
        "run": asdict(run), "curve": [point.model_dump() for point in finished.curve], "shipped_step": finished.shipped_step,
        "measured": read_json(home / "out" / "measured.json"), "seconds": round(time.monotonic() - began, 1), "revision": code_revision(),
    }  # fmt: skip
    write_json(record_file(run, folder), stored)
    shutil.rmtree(home)
    return stored


def _request(run: Run, home: Path, instruction: str | None) -> TrainingRequest:
    return TrainingRequest(
        workspace=read_machine().workspace, folder=home / "out", data_folder=home / "data", data_digest="", instruction=instruction,
        labels=None, max_new_tokens=_MAX_NEW_TOKENS, code_revision=code_revision(), model=ModelConfig(), training=run.training(),
    )  # fmt: skip


def _train(request: TrainingRequest, home: Path, threads: int | None) -> Finished:
    request_file = home / "request.json"
    write_atomically(request_file, request.model_dump_json().encode())
    said: list[Finished | Failed] = []

    def listen(line: str) -> None:
        event = parse(line)
        if isinstance(event, Finished | Failed):
            said.append(event)

    environment = read_machine().child_environment() | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    log = home / "training.log"
    code = run_child([sys.executable, "-m", "benchmarks.overfit_one", str(request_file)], environment, log, listen)
    last = said[-1] if said else None
    if code or not isinstance(last, Finished):
        raise TrainingError(f"exit code {code}: {last.what if isinstance(last, Failed) else 'see its log'}", where=str(log))
    return last
