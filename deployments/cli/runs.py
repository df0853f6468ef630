"""Finds what a finished run left behind."""

from pathlib import Path
from typing import Any

from pipeline_config.environment import Machine
from pipeline_config.errors import EvaluationError
from tasks.files import LATEST, SUMMARY, read_json, run_folder

CONFIG = "config.json"
"""The configuration of a run, in its folder."""


def find(run: str, machine: Machine) -> Path:
    """The folder of a run.

    Args:
        run: id of a run, a folder, or `latest`.

    Raises:
        EvaluationError: there is no such run, or it has not ended.
    """
    folder = run_folder(machine.workspace, run) if not Path(run).is_dir() else Path(run)
    if not (folder / SUMMARY).is_file():
        known = sorted((path.name for path in run_folder(machine.workspace, "").glob("*") if path.name != LATEST), reverse=True)
        raise EvaluationError(
            f"there is no finished run {run!r}", where=str(folder), expected=f"{LATEST}, or one of {', '.join(known[:5]) or '(none)'}",
            hint="runs are the folders below `runs` in the workspace",
        )  # fmt: skip
    return folder.resolve()


def summary_of(folder: Path) -> dict[str, Any]:
    """What the run said of itself."""
    content: dict[str, Any] = read_json(folder / SUMMARY)
    return content
