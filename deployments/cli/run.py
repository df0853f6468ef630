"""`tunegate run`: services up, deployments registered, then the main job in this process, seen in Prefect's UI."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployments.registration import register_deployments
from deployments.services.lifecycle import up
from pipeline_config.environment import Machine
from pipeline_config.loading import load_config
from tasks.files import read_json, run_folder

EXIT_INTERRUPTED = 130
_EXIT_CODES = {"passed": 0, "error": 1, "gate_failed": 3, "held": 4, "awaiting_approval": 5, "interrupted": EXIT_INTERRUPTED}


def run(preset: str, file: Path | None, overrides: Sequence[str], machine: Machine) -> int:
    """Runs the main job and prints its summary; returns the exit code.

    Raises:
        ConfigError: before anything heavy is imported and before a service is started.
        ServiceError: a service could not be started.
    """
    load_config(preset, file, overrides)
    machine.apply()
    up(machine, _say)
    register_deployments(machine, _say)
    parameters = {"preset": preset, "config_file": str(file.absolute()) if file else None, "overrides": list(overrides)}
    summary = _run_flow(parameters, machine)
    if summary is None:
        return _EXIT_CODES["error"]
    _print(summary, machine)
    return _EXIT_CODES[summary["outcome"]]


def _run_flow(parameters: Mapping[str, Any], machine: Machine) -> dict[str, Any] | None:
    """The run's summary; null if the run ended before it had a folder. Errors are logged by Prefect and stand in the summary."""
    # Prefect reads its settings when it is imported, so the machine must have been applied by then.
    from flows.finetune import finetune
    from tasks.report.opening import find_run

    flow_run_id: list[str] = []
    try:
        state = finetune(**parameters, return_state=True)
        flow_run_id.append(str(state.state_details.flow_run_id))
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from the last checkpoint")
    run_id = find_run(machine.workspace, flow_run_id[0] if flow_run_id else None)
    path = run_folder(machine.workspace, run_id) / "summary.json" if run_id else None
    return dict(read_json(path)) if path is not None and path.is_file() else None


def _print(summary: Mapping[str, Any], machine: Machine) -> None:
    from rich.console import Console

    from tasks.report.table import render

    Console().print(render(summary))
    print(f"summary: {run_folder(machine.workspace, 'latest') / 'summary.json'}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
