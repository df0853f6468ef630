"""`tunegate rollback`: back to a version that was live before, in this process, seen in Prefect's UI."""

import getpass
import platform
import sys
from typing import Any

from deployments.registration import register_deployments
from deployments.services.lifecycle import up
from pipeline_config.environment import Machine
from pipeline_config.errors import ConfigError
from tasks.ledger import open_ledger


def roll_back(version: str | None, why: str, model_name: str | None, machine: Machine) -> int:
    """Runs the flow `rollback`; returns 0 if the version is live again, 1 if not.

    Args:
        version: a number, or a version's full name (`helpdesk-routing-v3`); null: the one before the live one.
        model_name: null: that of the version's full name, or the only model that was ever live.

    Raises:
        ConfigError: the version or the model is not clear, or no reason is given.
        ServiceError: a service could not be started.
    """
    if not why.strip():
        raise ConfigError("no reason is given", where="--why", expected="a sentence for whoever asks a year later")
    live = open_ledger(machine.workspace, machine.ledger_url).live_by_model()
    model, number = read_target(version, model_name, sorted(live))
    machine.apply()
    up(machine, _say)
    register_deployments(machine, _say)
    state = _run_flow(model, number, why, machine)
    print(f"{state.name}: {state.message}", file=sys.stdout if state.is_completed() else sys.stderr)
    return 0 if state.is_completed() else 1


def read_target(version: str | None, model_name: str | None, known: list[str]) -> tuple[str, int | None]:
    """Model and number of the version that is meant.

    Raises:
        ConfigError: they are not clear, or contradict each other.
    """
    named, _, number = (version or "").rpartition("-v") if version and not version.isdigit() else ("", "", version or "")
    if number and not number.isdigit():
        raise ConfigError(f"{version!r} names no version", where="VERSION", expected="a number, or a name such as helpdesk-routing-v3")
    models = {name for name in (named, model_name) if name} or set(known)
    if len(models) != 1:
        said = f"{' and '.join(sorted(models))} are meant" if models else "no model was ever live here"
        raise ConfigError(f"it is not clear which model is meant: {said}", where="--model", expected=f"one of {', '.join(known)}")
    return models.pop(), int(number) if number else None


def _run_flow(model: str, version: int | None, why: str, machine: Machine) -> Any:
    # Prefect reads its settings when it is imported, so the machine must have been applied by then.
    from flows.rollback import rollback

    who = f"{getpass.getuser()} on {platform.node()} (unauthenticated)"
    return rollback(model, why, version, who, return_state=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
