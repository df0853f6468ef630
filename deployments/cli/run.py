"""`tunegate run`: services up, deployments registered, then the main job in this process, seen in Prefect's UI."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline_config.environment import Machine
from pipeline_config.errors import TunegateError
from pipeline_config.loading import load_config

EXIT_PASSED, EXIT_ERROR, EXIT_GATE_FAILED, EXIT_HELD, EXIT_AWAITING = 0, 1, 3, 4, 5
EXIT_INTERRUPTED = 130

_EXIT_CODES = {"passed": EXIT_PASSED, "gate_failed": EXIT_GATE_FAILED, "held": EXIT_HELD, "awaiting_approval": EXIT_AWAITING}


def run(preset: str, file: Path | None, overrides: Sequence[str], machine: Machine) -> int:
    """Runs the main job and prints its summary; returns the exit code.

    Raises:
        ConfigError: before anything heavy is imported and before a service is started.
        TunegateError: a service could not be started.
    """
    load_config(preset, file, overrides)
    machine.apply()
    from deployments.registration import register_deployments
    from deployments.services.lifecycle import up

    up(machine, _say)
    register_deployments(machine, _say)
    return _run_flow({"preset": preset, "config_file": str(file.absolute()) if file else None, "overrides": list(overrides)}, machine)


def _run_flow(parameters: dict[str, Any], machine: Machine) -> int:
    from flows.finetune import finetune

    try:
        state = finetune(**parameters, return_state=True)
        outcome = state.name
    except KeyboardInterrupt:
        return _interrupted()
    except TunegateError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    return outcome


def _interrupted() -> int:
    print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
    return EXIT_INTERRUPTED


def _say(text: str) -> None:
    print(text, file=sys.stderr)
