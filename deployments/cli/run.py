"""`tunegate run`: services up, deployments registered, then the main job in this process, seen in Prefect's UI."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployments.registration import register_deployments
from deployments.services.lifecycle import up
from pipeline_config.environment import Machine
from pipeline_config.loading import load_config
from tasks.evaluate.custom import require_metrics
from tasks.files import LATEST, SUMMARY, read_json, run_folder
from tasks.methods.settings import settle

EXIT_INTERRUPTED = 130
_EXIT_CODES = {
    "passed": 0, "error": 1, "gate_failed": 3, "held": 4, "awaiting_approval": 5, "rejected": 6, "interrupted": EXIT_INTERRUPTED,
}  # fmt: skip


def run(preset: str, file: Path | None, overrides: Sequence[str], machine: Machine) -> int:
    """Runs the main job and prints its summary; returns the exit code.

    Raises:
        ConfigError: before anything heavy is imported and before a service is started; a metric of another package is imported for it.
        ServiceError: a service could not be started.
    """
    config = load_config(preset, file, overrides)
    for note in settle(config.training).notes:
        _say(f"note: {note}")
    require_metrics(config.evaluation)
    machine.apply()
    up(machine, _say)
    register_deployments(machine, _say)
    parameters = {"preset": preset, "config_file": str(file.absolute()) if file else None, "overrides": list(overrides)}
    folder = _run_flow(parameters, machine)
    if folder is None or not (folder / SUMMARY).is_file():
        return _EXIT_CODES["error"]
    summary = read_json(folder / SUMMARY)
    _print(summary, folder)
    return _EXIT_CODES[summary["outcome"]]


def _run_flow(parameters: Mapping[str, Any], machine: Machine) -> Path | None:
    """Runs the flow; returns the run's folder, or null if it ended before it had one. Errors are logged and stand in the summary."""
    # Prefect reads its settings when it is imported, so the machine must have been applied by then.
    from flows.finetune import finetune
    from tasks.report.opening import find_run

    try:
        state = finetune(**parameters, return_state=True)
    except KeyboardInterrupt:
        # The folder that the interrupted run has just written is the one that `latest` names.
        latest = run_folder(machine.workspace, LATEST)
        return latest.resolve() if latest.exists() else None
    return find_run(machine.workspace, str(state.state_details.flow_run_id))


def _print(summary: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console

    from tasks.report.table import render

    Console().print(render(summary), soft_wrap=True)
    print(f"summary: {folder / SUMMARY}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
