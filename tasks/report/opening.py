"""Opens and closes a run in the tracking server and in the workspace."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline_config.environment import Machine
from pipeline_config.errors import RegistryError
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import RunContext
from tasks.files import run_folder, write_json
from tasks.methods.settings import settle
from tasks.mlflow_tracking import MlflowTracker
from tasks.tracking import TrackedRun


def run_id_of(flow_run_id: str, started: datetime) -> str:
    """Sorts by time, and ends with the head of the flow run's id, by which it is found."""
    return f"{started:%Y%m%d-%H%M%S}-{flow_run_id[:8]}"


def open_run(config: PipelineConfig, machine: Machine, flow_run_id: str, started: datetime) -> RunContext:
    """Makes the run's folder, keeps the configuration in it, and begins a run in the tracking server.

    The folder has the configuration as it was written, the tracking server has it with the method's defaults filled in.
    """
    run_id = run_id_of(flow_run_id, started)
    page = f"{machine.prefect_ui_url}/runs/flow-run/{flow_run_id}"
    write_json(run_folder(machine.workspace, run_id) / "config.json", config.as_json())
    tags = {"tunegate.run_id": run_id, "tunegate.config_digest": config_digest(config), "tunegate.prefect_run": page}
    tracked = _track(config, machine, run_id, tags)
    return RunContext(
        run_id=run_id, workspace=machine.workspace, mlflow_run_id=tracked.run_id, mlflow_run_url=tracked.url, prefect_run_url=page
    )


def open_arm(config: PipelineConfig, machine: Machine, context: RunContext, arm: str) -> RunContext:
    """A run of its own in the tracking server, below that of the context: curves of several trainings would run through each other in one.

    Args:
        config: what this arm trains with.
    """
    run_id = f"{context.run_id}/ablation/{arm}"
    tags = {"mlflow.parentRunId": context.mlflow_run_id, "tunegate.ablation_of": context.run_id}
    tracked = _track(config, machine, f"{context.run_id} {arm}", tags)
    return context.model_copy(update={"run_id": run_id, "mlflow_run_id": tracked.run_id, "mlflow_run_url": tracked.url})


def _track(config: PipelineConfig, machine: Machine, name: str, tags: Mapping[str, str]) -> TrackedRun:
    tracker = MlflowTracker(machine.mlflow_url)
    tracked = tracker.open_run(config.registry.experiment, name, tags)
    settled = config.model_copy(update={"training": settle(config.training).training})
    tracker.log_params(tracked.run_id, dict(_flat(settled.as_json())))
    return tracked


def find_run(workspace: Path, flow_run_id: str) -> Path | None:
    """The folder of a flow run; null if it ended before it had one."""
    return next(run_folder(workspace, "").glob(f"*-{flow_run_id[:8]}"), None)


@contextmanager
def tracked_until_closed(context: RunContext, machine: Machine) -> Iterator[None]:
    """Closes the tracking run however the block ends, with a status that says how."""
    tracker = MlflowTracker(machine.mlflow_url)
    try:
        yield
    except BaseException as error:
        try:
            tracker.close_run(context.mlflow_run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        except RegistryError as second:
            error.add_note(f"and the tracking run could not be closed: {second}")
        raise
    tracker.close_run(context.mlflow_run_id, "FINISHED")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
