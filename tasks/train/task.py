"""The training stage as a Prefect task."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from rich.console import Console

from pipeline_config.environment import read_machine
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.training import SettledTraining
from tasks.artifacts import PreparedData, Record, RunContext, TrainedModel
from tasks.files import run_folder, stage_store
from tasks.methods.settings import read_settings, settle
from tasks.mlflow_tracking import MlflowTracker
from tasks.models import identify_base
from tasks.revision import code_revision
from tasks.stages import StageResult, run_stage
from tasks.tracking import MetricsBuffer, sent_in_background
from tasks.train.events import Step, TrainingRequest, Validated
from tasks.train.progress import Display, LiveBar, PlainLines, figures_of, validation_of
from tasks.train.train import train as run_training

_SECONDS_BETWEEN_UPDATES = 5.0


@task(name="train", persist_result=False, cache_policy=NO_CACHE)
def train(config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData]) -> StageResult[TrainedModel]:
    """Trains, or reuses what the same rows, base, settings and code produced before, whatever the test rows are."""
    data, training = prepared.value, settle(config.training).training
    inputs = {
        "data": data.training_digest,
        "instruction": data.instruction,
        "labels": data.labels,
        "base": identify_base(config.model, context.workspace).model_dump(mode="json"),
        "training": read_settings(training),
        "max_new_tokens": config.evaluation.max_new_tokens,
        "masked_kinds": config.data.sensitive.masked_kinds,
    }
    return run_stage(
        stage_store(context.workspace), "train", inputs, TrainedModel, lambda folder: _build(config, training, context, data, folder)
    )


def _build(config: PipelineConfig, training: SettledTraining, context: RunContext, data: PreparedData, folder: Path) -> TrainedModel:
    machine = read_machine()
    request = TrainingRequest(
        workspace=context.workspace, folder=folder, data_folder=data.folder, data_digest=data.digest, instruction=data.instruction,
        labels=data.labels, max_new_tokens=config.evaluation.max_new_tokens, code_revision=code_revision(), model=config.model,
        masked_kinds=config.data.sensitive.masked_kinds, training=training,
    )  # fmt: skip
    metrics = MetricsBuffer(MlflowTracker(machine.mlflow_url), context.mlflow_run_id)
    unsent = run_folder(context.workspace, context.run_id) / "unsent_metrics.jsonl"
    with _kept(metrics, unsent) as on_event:
        trained = run_training(request, machine.child_environment(), on_event)
    if unsent.exists():
        note = f"MLflow did not take all points of the curves: those that may be missing are in {unsent.name} of run {context.run_id}"
        trained = trained.model_copy(update={"notes": (*trained.notes, note)})
    _curve_artifact(trained)
    return trained


@contextmanager
def _kept(metrics: MetricsBuffer, unsent: Path) -> Iterator[Callable[[Record], None]]:
    """Shows events and sends their figures; what the tracking server did not take by the end is written to a file, whatever the end is."""
    unsent.unlink(missing_ok=True)
    try:
        with _watched(metrics) as on_event:
            yield on_event
    finally:
        count = metrics.keep(unsent)
        if count:
            get_run_logger().warning("the tracking server did not take %d points: they are kept in %s", count, unsent)


@contextmanager
def _watched(metrics: MetricsBuffer) -> Iterator[Callable[[Record], None]]:
    console = Console(stderr=True)
    display: Display = LiveBar(console) if console.is_terminal else PlainLines(get_run_logger().info, time.monotonic)
    progress = _ProgressArtifact()

    def on_event(event: Record) -> None:
        display.show(event)
        progress.show(event)
        if isinstance(event, Step):
            metrics.add(event.step, _curves(event))
        elif isinstance(event, Validated):
            metrics.add(event.point.step, {"eval_loss": event.point.validation_loss})

    with sent_in_background(metrics):
        try:
            yield on_event
        finally:
            display.close()
        progress.finish()


def _curves(event: Step) -> dict[str, float]:
    curves = {"loss": event.loss, "learning_rate": event.learning_rate, "tokens_per_second": event.tokens_per_second}
    curves |= {"memory_bytes": float(event.memory_bytes)}
    return curves if event.grad_norm is None else curves | {"grad_norm": event.grad_norm}


class _ProgressArtifact:
    """Training's bar on the run's page, with the newest figures under it, moved every few seconds.

    Prefect's server may be away for a while: that is no reason to end a training, so a figure that cannot be shown is left out.
    """

    def __init__(self) -> None:
        self._id: UUID = create_progress_artifact(progress=0.0, key="training-progress", description="Training")  # type: ignore[assignment]
        self._next = 0.0
        self._validation = ""

    def show(self, event: Record) -> None:
        if isinstance(event, Validated):
            self._validation = f"; {validation_of(event)}"
        elif isinstance(event, Step) and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_UPDATES
            self._update(100 * min(event.step / event.steps, 1.0), f"step {event.step}: {figures_of(event)}{self._validation}")

    def finish(self) -> None:
        self._update(100.0, f"Training{self._validation}")

    def _update(self, percent: float, description: str) -> None:
        try:
            update_progress_artifact(self._id, progress=round(percent, 1), description=description)
        except (PrefectException, HTTPError) as error:
            get_run_logger().debug("the progress on the run's page could not be moved: %s", error)


def _curve_artifact(trained: TrainedModel) -> None:
    rows: list[dict[str, Any]] = [
        {"step": p.step, "epoch": round(p.epoch, 2), "training loss": p.train_loss, "validation loss": p.validation_loss,
         "shipped": "yes" if p.step == trained.shipped_step else ""}
        for p in trained.curve
    ]  # fmt: skip
    create_table_artifact(table=rows, key="training-curve", description="Losses in nats a supervised token")
