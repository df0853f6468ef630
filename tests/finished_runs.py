"""Builds what a run leaves behind: rows, answers, gates and records, for its page and its model card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import (
    CurvePoint,
    EvaluationResult,
    Figures,
    GateEvidence,
    GateReport,
    GateResult,
    PreparedData,
    RegisteredVersion,
    RunContext,
    StageRecord,
    TrainedModel,
    Verdict,
)
from tasks.files import run_folder, write_json
from tasks.report.material import Material, gather
from tasks.report.summary import Outcome, RunParts
from tests.builders import make_prepared, make_row

DIGEST = "0123456789abcdef" * 4
MODEL = "desk"


class FinishedRun(NamedTuple):
    """A run whose files exist."""

    config: PipelineConfig
    context: RunContext
    parts: RunParts

    def material(self, outcome: Outcome | None = None) -> Material:
        found = gather(self.config, self.context, self.parts, outcome, run_folder(self.context.workspace, self.context.run_id))
        assert found is not None
        return found


def make_gate(name: str, kind: str, outcome: str = "pass", **changes: Any) -> GateResult:
    """A gate on accuracy with an interval, and the fields given."""
    values: dict[str, Any] = {
        "name": name, "kind": kind, "metric": "accuracy", "value": 0.853, "threshold": 0.8, "interval": (0.814, 0.884), "rows": 400,
        "outcome": outcome, "reason": f"{kind} says {outcome}",
    }  # fmt: skip
    return GateResult(**(values | changes))


GATES = (
    make_gate("beats_base", "improvement", value=0.81, threshold=0.2, interval=(0.767, 0.846)),
    make_gate("min_accuracy", "threshold", reason="accuracy 0.853 [0.814, 0.884] on 400 rows, at least 0.8 is required"),
    make_gate("not_worse_than_champion", "non_inferiority", "hold", value=-0.01, threshold=0.05, interval=(-0.061, 0.038),
              reason="tuned is -0.010 [-0.061, +0.038] above desk-v2; held: at these rates about 900 more rows would decide"),
    make_gate("no_overfitting", "overfitting", "fail", metric="validation_loss_rebound", value=1.41, threshold=1.2, interval=None,
              reason="overfitting is severe: 1.41 times the smallest validation loss; to do: stop early"),
    make_gate("leaks", "leakage", "not_applicable", value=None, interval=None, metric=None, rows=None, reason="nothing to look at"),
)  # fmt: skip
"""One gate of each outcome, and a kind that is drawn although this version does not judge it."""


def classified(
    folder: Path, *, labels: Sequence[str] = ("billing", "email", "hardware", "network"), rows: int = 48, text: str = "the vpn drops",
    champion: bool = True, verdict: Verdict = "fail", gates: tuple[GateResult, ...] = GATES, config: dict[str, Any] | None = None,
    answer: str | None = None,
) -> FinishedRun:  # fmt: skip
    """A run whose answers are labels. Every fourth row is right for the base, all but every sixth for the tuned model, all but every
    fifth for the champion.

    Args:
        text: stands in every prompt.
        answer: what wrong answers say; null: another label.
    """
    test = [make_row(f"{text} {place}", labels[place % len(labels)]) for place in range(rows)]
    expected = [labels[place % len(labels)] for place in range(rows)]
    wrong = [answer if answer is not None else labels[(place + 1) % len(labels)] for place in range(rows)]

    def answers(right: Any) -> list[str]:
        return [expected[place] if right(place) else wrong[place] for place in range(rows)]

    texts = {"base": answers(lambda at: at % 4 == 0), "tuned": answers(lambda at: at % 6 != 5)}
    texts |= {"champion": answers(lambda at: at % 5 != 4)} if champion else {}
    figures = {who: _accuracy(expected, said) for who, said in texts.items()}
    columns: dict[str, Any] = {"row_id": [row["row_id"] for row in test], "expected": expected, **texts}
    if champion:
        columns["champion_saw"] = [place % 8 == 7 for place in range(rows)]
    prepared = make_prepared(folder / "data", test[:1], test[:1], test)
    return _finished(folder, prepared, pl.DataFrame(columns), figures, gates=gates, verdict=verdict, config=config or {})


def replied(folder: Path, *, rows: int = 40, text: str = "how do I reset it") -> FinishedRun:
    """A run whose answers are free text, with scores and slices beside the predictions: the longer the row, the worse the tuned model."""
    test = [make_row(f"{text} {place}", f"Open the menu {place} and choose reset.") for place in range(rows)]
    ids = [row["row_id"] for row in test]
    frame = pl.DataFrame(
        {
            "row_id": ids, "expected": [row["messages"][-1]["content"] for row in test],
            "base": [f"I do not know {place}." for place in range(rows)], "tuned": [f"Open the menu {place}." for place in range(rows)],
        }
    )  # fmt: skip
    scores = pl.DataFrame(
        {
            "row_id": ids, "cluster": ids, "base.rougeL": [1.0, *[0.1] * (rows - 1)],
            "tuned.rougeL": [0.9 - 0.02 * place for place in range(rows)],
            "slice.length": ["short" if place < rows // 2 else "long" for place in range(rows)],
            "slice.language": ["en"] * rows,
        }
    )  # fmt: skip
    figures = {"base": Figures(values={"rougeL": 0.14, "perplexity": 9.5}), "tuned": Figures(values={"rougeL": 0.51, "perplexity": 3.25})}
    prepared = make_prepared(folder / "data", test[:1], test[:1], test, labelled=False)
    gates = (make_gate("min_rouge", "threshold", metric="rougeL", value=0.51, threshold=0.3, interval=None),)
    run = _finished(folder, prepared, frame, figures, gates=gates, verdict="hold", config={})
    assert run.parts.evaluated is not None
    scores.write_parquet(run.parts.evaluated.folder / "scores.parquet")
    return run


def _accuracy(expected: Sequence[str], said: Sequence[str]) -> Figures:
    share = sum(one == other for one, other in zip(expected, said, strict=True)) / len(expected)
    return Figures(values={"accuracy": share, "macro_f1": share, "perplexity": 1.25})


def _finished(
    folder: Path, prepared: PreparedData, predictions: pl.DataFrame, figures: dict[str, Figures], *, gates: tuple[GateResult, ...],
    verdict: Verdict, config: dict[str, Any],
) -> FinishedRun:  # fmt: skip
    evaluation, training = folder / "evaluation", folder / "training"
    for place in (evaluation, training / "artifact"):
        place.mkdir(parents=True)
    predictions.write_parquet(evaluation / "predictions.parquet")
    write_json(training / "artifact" / "manifest.json", {"base": {"name_or_path": "tiny-base", "dtype": "float32", "revision": None}})
    report = {"source": "/srv/data/tickets.jsonl", "format_reason": "every record has `output`", "profile": {"languages": {"en": 0.97}}}
    write_json(prepared.folder / "report.json", report)
    labelled = prepared.labels is not None
    evaluated = EvaluationResult(
        folder=evaluation, rows=predictions.height, base=figures["base"], tuned=figures["tuned"],
        tfidf=Figures(values={"accuracy": 0.5}) if labelled else Figures(), champion=figures.get("champion"),
        champion_name="desk-v2" if "champion" in figures else None, champion_fault=None,
        champion_seen_rows=int(predictions["champion_saw"].sum()) if "champion_saw" in predictions.columns else 0,
        tuned_train_accuracy=1.0 if labelled else None, base_constrained=labelled,
    )  # fmt: skip
    settings: dict[str, Any] = {
        "environment": "local",
        "data": {"source": {"path": "/srv/data/tickets.jsonl"}, "license": "cc-by-4.0"},
        "model": {"name_or_path": "/srv/models/tiny-base", "license": "mit"},
        "gates": {
            "min_accuracy": {"kind": "threshold", "threshold": 0.8}, "no_overfitting": {"kind": "overfitting"},
            "beats_base": {"kind": "improvement", "threshold": 0.2}, "not_worse_than_champion": {"kind": "non_inferiority"},
        },
        "registry": {"model_name": MODEL, "approval": "auto"},
    }  # fmt: skip
    made = PipelineConfig.model_validate(settings | config)
    return FinishedRun(made, _context(folder), _parts(training, prepared, evaluated, gates, verdict))


def _context(folder: Path) -> RunContext:
    return RunContext(
        run_id="20260101-120000-abcdef01", workspace=folder / "workspace", mlflow_run_id="m", mlflow_run_url="http://mlflow/#/runs/m",
        prefect_run_url="http://prefect/runs/p",
    )  # fmt: skip


def _parts(
    training: Path, prepared: PreparedData, evaluated: EvaluationResult, gates: tuple[GateResult, ...], verdict: Verdict
) -> RunParts:
    curve = [(10, 2.1, 1.2), (20, 0.9, 0.6), (30, 0.4, 0.5), (40, 0.06, 0.7)]
    trained = TrainedModel(
        folder=training, artifact_digest=DIGEST, base_digest=DIGEST, method="lora", steps=40, shipped_step=40,
        curve=tuple(CurvePoint(step=step, epoch=step / 20, train_loss=seen, validation_loss=held) for step, seen, held in curve),
        stopped_early=False, layout="packed", supervised_tokens=900, total_tokens=12_345, tokens_per_second=321.4,
        peak_memory_bytes=3 << 30,
    )  # fmt: skip
    report = GateReport(artifact_digest=DIGEST, data_digest=prepared.digest, config_digest=DIGEST, gates=gates, verdict=verdict)
    seconds = {"prepare": 4.2, "train": 1009.9, "evaluate": 97.9, "gates": 0.01, "register": 0.3}
    return RunParts(
        stages=tuple(StageRecord(name=name, status="completed", seconds=time, reused=False) for name, time in seconds.items()),
        data=prepared, trained=trained, evaluated=evaluated, judged=GateEvidence(path=Path("gates"), digest=DIGEST, report=report),
        registered=RegisteredVersion(
            model_name=MODEL, version=3, adapter_name="desk-v3", artifact_digest=DIGEST, gate_report_digest=DIGEST,
            url="http://mlflow/#/models/desk/versions/3",
        ),
    )  # fmt: skip
