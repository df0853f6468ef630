"""What a version keeps beside its artifact: what it was judged by, and a page that a person can read."""

import json
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from pipeline_config.errors import PromotionRefused
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, Figures, GateEvidence, JudgedFigures, PreparedData, RunContext
from tasks.files import MODEL_CARD, RUN_PAGE, run_folder, write_atomically, write_json
from tasks.manifest import Manifest
from tasks.methods.method import public_name
from tasks.registry.port import (
    ARTIFACT_TAG,
    CONFIG,
    EVIDENCE_FOLDER,
    EVIDENCE_TAG,
    FIGURES,
    GATE_REPORT,
    GATE_REPORT_TAG,
    MODEL_FOLDER,
    PARITY,
    PREDICTIONS,
    RUN_TAG,
    STATUS_REASON_TAG,
    STATUS_TAG,
    VERDICT_TAG,
    VERSION_FOLDER,
)
from tasks.rows import prompt_of, read_rows, spread_evenly

MERGE_ROWS = 50
"""Test rows that a merged model's answers are held against, so that many at least are kept."""


def collect(
    folder: Path, config: PipelineConfig, context: RunContext, prepared: PreparedData, evaluated: EvaluationResult, judged: GateEvidence
) -> dict[str, Path]:
    """Writes what is not a file yet into a folder; returns every evidence file by its name in the registry.

    Page and model card are those that a reviewer sees. A run can end without them, and its description says so.

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
    return {**made, GATE_REPORT: judged.path, PREDICTIONS: predictions, **_pages(context)}


def figures_of(evaluated: EvaluationResult) -> JudgedFigures:
    """The figures that a reviewer compares."""
    return JudgedFigures(
        rows=evaluated.rows, base=evaluated.base, tuned=evaluated.tuned, champion=evaluated.champion, champion_name=evaluated.champion_name
    )


def _pages(context: RunContext) -> dict[str, Path]:
    """The run's page and model card, those that there are."""
    folder = run_folder(context.workspace, context.run_id)
    return {name: folder / name for name in (RUN_PAGE, MODEL_CARD) if (folder / name).is_file()}


def write_parity(path: Path, test_rows: Path, predictions: Path, count: int) -> None:
    """Writes test prompts and the tuned model's answers to them, one JSON object a line.

    The first `count` are spread evenly over the test rows: the endpoint is asked those. Others follow, up to :data:`MERGE_ROWS` in all,
    which are spread evenly, too.

    Each line is `{"messages": [...], "answer": "..."}`; the messages end with a turn of the user or of a tool.
    """
    answers = dict(pl.read_parquet(predictions, columns=["row_id", "tuned"]).iter_rows())
    rows = read_rows(test_rows)
    first = spread_evenly(count, len(rows))
    others = [index for index in spread_evenly(MERGE_ROWS, len(rows)) if index not in set(first)]
    chosen = [rows[index] for index in [*first, *others][: max(count, MERGE_ROWS)]]
    lines = [json.dumps({"messages": prompt_of(row), "answer": answers[row["row_id"]]}, ensure_ascii=False) for row in chosen]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def tags_of(config: PipelineConfig, context: RunContext, judged: GateEvidence, manifest: Manifest, evidence_digest: str) -> dict[str, str]:
    """The tags that a version gets with its first breath."""
    links = {"tunegate.mlflow_run": context.mlflow_run_url, "tunegate.prefect_run": context.prefect_run_url}
    return {
        VERDICT_TAG: judged.report.verdict,
        ARTIFACT_TAG: judged.report.artifact_digest,
        GATE_REPORT_TAG: judged.digest,
        EVIDENCE_TAG: evidence_digest,
        RUN_TAG: context.run_id,
        "tunegate.base_digest": manifest.base.digest,
        "tunegate.data_digest": judged.report.data_digest,
        "tunegate.config_digest": config_digest(config),
        "tunegate.code_revision": manifest.code_revision or "not a repository",
        "tunegate.method": manifest.method,
        "tunegate.approval_policy": config.registry.approval,
        **{name: url for name, url in links.items() if url},
    }


def describe(
    config: PipelineConfig,
    context: RunContext,
    evaluated: EvaluationResult,
    judged: GateEvidence,
    manifest: Manifest,
    needs_tunegate: str | None,
) -> str:
    """Markdown for the version's page: verdict, what is to be decided, figures, gates, links, use, digests."""
    report = judged.report
    lines = [
        f"**Verdict: {report.verdict}** on {evaluated.rows} test rows. {_decision(config, judged)}",
        "",
        *_figure_lines(evaluated),
        "",
        "| gate | value | threshold | outcome | reason |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {g.name} | {_number(g.value)} | {_number(g.threshold)} | {g.outcome} | {_cell(g.reason)} |" for g in report.gates),
        "",
        " · ".join(_links(context)),
        "",
        f'To use it: `tunegate pull NUMBER FOLDER`, or `mlflow.pyfunc.load_model("models:/{config.registry.model_name}/NUMBER")`.'
        f"{' ' + needs_tunegate if needs_tunegate else ''}",
        "",
        f"Method `{manifest.method}` on base `{public_name(config.model.name_or_path)}` in {manifest.base.precision}. "
        f"Artifact `{report.artifact_digest}`, gate report `{judged.digest}`, base `{manifest.base.digest}`, data `{report.data_digest}`, "
        f"configuration `{config_digest(config)}`, code `{manifest.code_revision or 'not a repository'}`.",
    ]
    return "\n".join(lines)


def _decision(config: PipelineConfig, judged: GateEvidence) -> str:
    """What the reader has to do, if anything."""
    stopped = [gate.name for gate in judged.report.gates if gate.outcome in ("fail", "hold")]
    if judged.report.verdict != "pass":
        return f"It cannot go to production: {', '.join(stopped) or 'its gates'} did not pass, and no approval changes that."
    if config.registry.approval == "auto":
        return "Approval policy: `auto`. Nobody is asked."
    if config.registry.approval == "prefect_input":
        return "Approval policy: `prefect_input`. To decide, fill in the form of the waiting promotion run in Prefect's page."
    return (
        f"Approval policy: `{config.registry.approval}`. To decide, set the tag `{STATUS_TAG}` on this page to `approved` or `rejected`, "
        f"typed exactly so, and say why in `{STATUS_REASON_TAG}` first."
    )


def _links(context: RunContext) -> list[str]:
    files = f"{context.mlflow_run_url}/artifacts/{VERSION_FOLDER}"
    pages = _pages(context)
    named = {RUN_PAGE: "Report", MODEL_CARD: "Model card"}
    links = [
        f"[{title}]({files}/{EVIDENCE_FOLDER}/{page})" if page in pages else f"{title}: none was written" for page, title in named.items()
    ]
    links += [f"[Gate report]({files}/{EVIDENCE_FOLDER}/{GATE_REPORT})", f"[Files]({files}/{MODEL_FOLDER})"]
    links.append(f"[MLflow run]({context.mlflow_run_url})")
    return [*links, f"[Prefect run]({context.prefect_run_url})"] if context.prefect_run_url else links


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
