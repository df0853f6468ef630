"""What a version keeps beside its artifact: what it was judged by, and a page that a person can read."""

import json
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from pipeline_config.errors import PromotionRefused
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, Figures, GateEvidence, JudgedFigures, PreparedData, RunContext
from tasks.files import MODEL_CARD, RUN_PAGE, run_folder, write_atomically, write_json
from tasks.registry.port import ARTIFACT_TAG, CONFIG, FIGURES, GATE_REPORT, GATE_REPORT_TAG, PARITY, PREDICTIONS, RUN_TAG, VERDICT_TAG
from tasks.rows import prompt_of, read_rows, spread_evenly


def collect(
    folder: Path, config: PipelineConfig, prepared: PreparedData, evaluated: EvaluationResult, judged: GateEvidence
) -> dict[str, Path]:
    """Writes what is not a file yet into a folder; returns every evidence file by its name in the registry.

    Raises:
        PromotionRefused: the report judges a finished run again; only a run's own report makes a version.
    """
    if judged.report.rejudges is not None:
        raise PromotionRefused(
            f"the gate report judges a finished run again ({judged.report.rejudges[:12]})", where=str(judged.path),
            expected="the report of a run of its own", hint="`tunegate run` with these gates judges the artifact as its next look",
        )  # fmt: skip
    written = Path(mkdtemp(dir=folder))
    write_json(written / CONFIG, config.as_json())
    write_json(written / FIGURES, figures_of(evaluated).model_dump(mode="json"))
    predictions = evaluated.folder / PREDICTIONS
    write_parity(written / PARITY, prepared.folder / "test.parquet", predictions, config.deployment.parity_rows)
    made = {name: written / name for name in (CONFIG, FIGURES, PARITY)}
    return {**made, GATE_REPORT: judged.path, PREDICTIONS: predictions}


def figures_of(evaluated: EvaluationResult) -> JudgedFigures:
    """The figures that a reviewer compares."""
    return JudgedFigures(
        rows=evaluated.rows, base=evaluated.base, tuned=evaluated.tuned, champion=evaluated.champion, champion_name=evaluated.champion_name
    )


def write_parity(path: Path, test_rows: Path, predictions: Path, count: int) -> None:
    """Writes test prompts and the tuned model's answers to them, one JSON object a line, spread evenly over the test rows.

    Each line is `{"messages": [...], "answer": "..."}`; the messages end with a turn of the user or of a tool.
    """
    answers = dict(pl.read_parquet(predictions, columns=["row_id", "tuned"]).iter_rows())
    rows = read_rows(test_rows)
    chosen = [rows[index] for index in spread_evenly(count, len(rows))]
    lines = [json.dumps({"messages": prompt_of(row), "answer": answers[row["row_id"]]}, ensure_ascii=False) for row in chosen]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def tags_of(context: RunContext, judged: GateEvidence) -> dict[str, str]:
    """The tags that a version gets with its first breath."""
    return {
        VERDICT_TAG: judged.report.verdict,
        ARTIFACT_TAG: judged.report.artifact_digest,
        GATE_REPORT_TAG: judged.digest,
        RUN_TAG: context.run_id,
    }


def describe(config: PipelineConfig, context: RunContext, evaluated: EvaluationResult, judged: GateEvidence) -> str:
    """Markdown for the version's page: verdict, figures, gates, links."""
    report = judged.report
    lines = [
        f"**Verdict: {report.verdict}** on {evaluated.rows} test rows. Approval policy: `{config.registry.approval}`.",
        "",
        *_figure_lines(evaluated),
        "",
        "| gate | value | threshold | outcome | reason |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {g.name} | {_number(g.value)} | {_number(g.threshold)} | {g.outcome} | {_cell(g.reason)} |" for g in report.gates),
        "",
        *_report_link(context),
        f"[MLflow run]({context.mlflow_run_url})",
        *([f"[Prefect run]({context.prefect_run_url})"] if context.prefect_run_url else []),
        "",
        f"Artifact `{report.artifact_digest}`, gate report `{judged.digest}`, base `{config.model.name_or_path}`.",
    ]
    return "\n".join(lines)


def _report_link(context: RunContext) -> list[str]:
    if not (run_folder(context.workspace, context.run_id) / RUN_PAGE).is_file():
        return []
    return [f"[Report]({context.mlflow_run_url}/artifacts/{RUN_PAGE}), and the model card in `{MODEL_CARD}`, among the version's files"]


def _figure_lines(evaluated: EvaluationResult) -> list[str]:
    """A line for each metric that anybody has a figure of, a column for each contender."""
    measured: dict[str, Figures] = {"base": evaluated.base, "tuned": evaluated.tuned}
    if evaluated.champion is not None:
        measured[f"champion {evaluated.champion_name}"] = evaluated.champion
    names = dict.fromkeys(name for figures in measured.values() for name, value in figures.values.items() if value is not None)
    lines = [[name, *(_number(figures.get(name)) for figures in measured.values())] for name in names]
    return [f"| {' | '.join(cells)} |" for cells in (["", *measured], ["---"] * (len(measured) + 1), *lines)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
