"""`tunegate pull`: a version of the registry in a folder, for use without this project."""

from pathlib import Path
from typing import Literal

from deployments.cli.rollback import read_target
from deployments.services.health import mlflow_fault
from pipeline_config.environment import Machine
from pipeline_config.errors import ConfigError, ServiceError
from tasks.files import ledger_path, version_cache
from tasks.ledger import Ledger
from tasks.registry.mlflow_bases import MlflowBaseStore
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.pulling import pull
from tasks.registry.usage import USE


def pull_version(
    version: str, folder: Path, model_name: str | None, machine: Machine, *, merged: bool, dtype: Literal["bfloat16", "float32"] | None
) -> None:
    """Lays a version out in a folder, and says what lies there.

    Args:
        version: a number, or a version's full name (`helpdesk-routing-v3`).
        model_name: null: that of the version's full name, or the only model that was ever live.

    Raises:
        ConfigError: the version or the model is not clear, the folder is not empty, or a precision is given for what is not merged.
        ServiceError: MLflow is not up.
        RegistryError, ModelError: see `tasks.registry.pulling.pull`.
    """
    if dtype is not None and not merged:
        raise ConfigError("only a merged model has a precision of its own", where="--dtype", expected="--merged besides")
    known = sorted(Ledger(ledger_path(machine.workspace)).live_by_model())
    model, number = read_target(version, model_name, known)
    if number is None:
        raise ConfigError(f"{version!r} names no version", where="VERSION", expected="a number, or a name such as helpdesk-routing-v3")
    if fault := mlflow_fault(machine):
        raise ServiceError(f"MLflow cannot be asked: {fault}", where=machine.mlflow_url, hint="`tunegate up` starts it")
    machine.apply()
    registry, bases = MlflowRegistry(machine.mlflow_url), MlflowBaseStore(machine.mlflow_url)
    pulled = pull(registry, bases, model, number, version_cache(machine.workspace), folder, merged=merged, dtype=dtype)
    proven = f", whose {pulled.compared} test answers are the adapter's" if pulled.compared is not None else ""
    layouts = {"model": "a whole model", "merged": f"one merged model{proven}"}
    print(f"{pulled.adapter_name} is in {folder}: {layouts.get(pulled.layout, 'base and adapter')}")
    for note in (f"the verdict of its gates is {pulled.verdict}", *pulled.notes, f"{folder / USE} says how to load it"):
        print(f"  {note}")
