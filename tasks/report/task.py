"""Gathers a run's results, shows them on its pages, and writes its summary, however the run ends."""

import base64
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from prefect import task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from pipeline_config.environment import Machine, read_machine
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import (
    EvaluationResult,
    GateEvidence,
    PreparedData,
    PromotionOutcome,
    Record,
    RegisteredVersion,
    RunContext,
    StageRecord,
    TrainedModel,
)
from tasks.files import FIGURES, SUMMARY, point_latest_at, run_folder, write_json
from tasks.mlflow_tracking import MlflowTracker
from tasks.report.summary import AWAITING, STAGES, Outcome, RunParts, outcome_of, summarise
from tasks.report.writing import Written, write_page, write_report
from tasks.rows import read_rows
from tasks.stages import StageResult

T = TypeVar("T", bound=Record)

_FIELDS: dict[type[Record], str] = {
    PreparedData: "data",
    TrainedModel: "trained",
    EvaluationResult: "evaluated",
    GateEvidence: "judged",
    RegisteredVersion: "registered",
}
_STATE_NAMES: dict[Outcome, str] = {
    "passed": "Passed",
    "gate_failed": "GateFailed",
    "held": "Held",
    "awaiting_approval": "AwaitingApproval",
    "rejected": "Rejected",
}


_PICTURES = {
    "gates": "Each gate on a line of numbers: the shaded side of the bound passes",
    "loss": "Training and validation loss",
    "confusion": "What was expected (rows) and what the tuned model answered (columns)",
}
"""Drawings, and what is said below each on Prefect's page."""


@task(name="report", persist_result=False, cache_policy=NO_CACHE)
def publish(config: PipelineConfig, context: RunContext, parts: RunParts) -> tuple[str, ...]:
    """Writes page, model card and drawings, and shows them in MLflow and in Prefect. Returns what went wrong, which ends nothing.

    A version's files are those of its MLflow run, so what is kept here before it is registered belongs to it from its first moment.
    """
    written = write_report(config, context, parts)
    faults = list(written.faults)
    for where, show in (("MLflow", _show_in_mlflow), ("Prefect", _show_in_prefect)):
        try:
            show(context, written)
        # The verdict stands without its pictures.
        except Exception as error:
            faults.append(f"the report is not complete in {where}: {next(iter(str(error).splitlines()), type(error).__name__)}")
    for fault in faults:
        get_run_logger().warning("%s", fault)
    if written.page is not None:
        get_run_logger().info("the report: %s", written.page)
    return tuple(faults)


def _show_in_mlflow(context: RunContext, written: Written) -> None:
    tracker = MlflowTracker(read_machine().mlflow_url)
    files = [(path, "") for path in (written.page, written.card) if path is not None]
    for path, folder in (*files, *((path, FIGURES) for path in written.pictures.values())):
        tracker.log_file(context.mlflow_run_id, path, folder)


def _show_in_prefect(context: RunContext, written: Written) -> None:
    if written.markdown:
        create_markdown_artifact(written.markdown, key="run-report", description=f"[Files in MLflow]({context.mlflow_run_url}/artifacts)")
    for name, path in written.pictures.items():
        create_image_artifact(_inline(path), key=f"run-{name}", description=_PICTURES[name])


def _inline(picture: Path) -> str:
    """The picture itself as an address, so that Prefect's page needs nobody else to show it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.read_bytes()).decode()}"


class RunReport:
    """Collects what the stages return; as a context manager it writes `summary.json` at the end, after an error or Ctrl-C too."""

    def __init__(self, config: PipelineConfig, context: RunContext, machine: Machine) -> None:
        self._config, self._context, self._machine = config, context, machine
        self._parts = RunParts()
        self._started = time.monotonic()
        self._outcome: Outcome = "error"

    def add(self, result: StageResult[T]) -> StageResult[T]:
        """Keeps a stage's result, and hands it on."""
        self._keep(result.record(), **{_FIELDS[type(result.value)]: result.value})
        return result

    def publish(self) -> None:
        """Shows what is known so far: call it before a version is registered, which keeps it among its files."""
        self._fault(publish(self._config, self._context, self._parts))

    def promoted(self, outcome: PromotionOutcome) -> None:
        """Keeps how promotion ended."""
        done = outcome.state in ("Promoted", "Rejected", *AWAITING)
        record = StageRecord(name="promote", status="completed" if done else "failed", seconds=outcome.seconds, reused=False)
        self._keep(record, promotion=outcome)
        if outcome_of(self._parts) == "error":
            self._parts = self._parts.model_copy(
                update={"error": f"promotion ended as {outcome.state}: {outcome.message or 'no reason given'}"}
            )

    def already_live(self) -> None:
        """Keeps that this very version is live already, so nothing had to be promoted."""
        record = StageRecord(name="promote", status="reused", seconds=0.0, reused=True)
        self._keep(record, promotion=PromotionOutcome(state="Promoted", message="was live already", url=None, seconds=0.0))

    def final_state(self) -> State[Any]:
        """The flow run's state: completed, under a name that says how it ended; failed if the gates passed but promotion broke."""
        if self._outcome == "error":
            return Failed(name="PromotionFailed", message=self._parts.error)
        reasons = _reasons(self._parts)
        create_markdown_artifact(_markdown(self._outcome, reasons, self._parts), key="run-summary")
        return Completed(name=_STATE_NAMES[self._outcome], message="; ".join(reasons))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        interrupted = error is not None and not isinstance(error, Exception)
        if error is not None:
            reached = {stage.name for stage in self._parts.stages}
            failed = next((name for name in STAGES if name not in reached), STAGES[-1])
            seconds = time.monotonic() - self._started - sum(stage.seconds for stage in self._parts.stages)
            self._keep(
                StageRecord(name=failed, status="failed", seconds=max(seconds, 0.0), reused=False), error=str(error) or type(error).__name__
            )
        self._outcome = outcome_of(self._parts, interrupted=interrupted)
        self._write()

    def _keep(self, record: StageRecord, **fields: object) -> None:
        self._parts = self._parts.model_copy(update={"stages": (*self._parts.stages, record), **fields})

    def _fault(self, faults: tuple[str, ...]) -> None:
        self._parts = self._parts.model_copy(update={"faults": tuple(dict.fromkeys((*self._parts.faults, *faults)))})

    def _write(self) -> None:
        folder = run_folder(self._context.workspace, self._context.run_id)
        written = write_page(self._config, self._context, self._parts, self._outcome, folder)
        self._fault(written.faults)
        endpoint = None
        if self._outcome == "passed" and self._parts.registered is not None:
            endpoint = {"url": f"{self._machine.server_url}/v1/chat/completions", "model": self._parts.registered.model_name}
        summary = summarise(self._config, self._context, self._parts, self._outcome, endpoint, _example(self._parts), written.page)
        write_json(folder / SUMMARY, summary)
        point_latest_at(folder)


def _example(parts: RunParts) -> str | None:
    """The first test row's user turn, to try the endpoint with."""
    if parts.data is None:
        return None
    return read_rows(parts.data.folder / "test.parquet")[0]["messages"][-2]["content"]


def _reasons(parts: RunParts) -> list[str]:
    """Why the gates did not open, or why a reviewer did not; else nothing."""
    if parts.judged is None:
        return []
    promotion = parts.promotion
    rejected = [promotion.message] if promotion is not None and promotion.state == "Rejected" and promotion.message else []
    return rejected + [f"{gate.name}: {gate.reason}" for gate in parts.judged.report.gates if gate.outcome in ("fail", "hold")]


def _markdown(outcome: Outcome, reasons: list[str], parts: RunParts) -> str:
    version = f" {parts.registered.adapter_name}" if parts.registered else ""
    lines = [f"# {outcome.replace('_', ' ')}{version}", *[f"- {reason}" for reason in reasons]]
    if parts.registered is not None:
        lines.append(f"\n[Model version in the registry]({parts.registered.url})")
    return "\n".join(lines)
