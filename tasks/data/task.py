"""The Prefect shell of preparation."""

from pathlib import Path

import polars as pl
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.environment import read_machine
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, RunContext
from tasks.data.assignments import assignments_path, history_folder, keep_assignments, moves_digest, read_assignments
from tasks.data.findings import DataReport, Drift
from tasks.data.readers import location_digests
from tasks.data.sources import source_digests
from tasks.files import DATA_PAGE, run_folder, stage_store, write_atomically
from tasks.mlflow_tracking import MlflowTracker
from tasks.models import identify_base
from tasks.presidio import open_presidio, presidio_versions
from tasks.stages import StageResult, run_stage
from tasks.tracking import TrackedDataset

_CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}


@task(name="prepare", persist_result=False, cache_policy=NO_CACHE)
def prepare(config: PipelineConfig, context: RunContext) -> StageResult[PreparedData]:
    """Prepares the rows, or reuses them when source files, settings and base model are the same, and shows what was found in them.

    Raises:
        DataError: see `tasks.data.prepare.prepare_data`.
        ConfigError: Presidio is asked for and not installed, or does not know what it is asked for.
    """
    history = history_folder(context.workspace, config.registry.model_name, config.data.split)
    recorded = read_assignments(assignments_path(history))
    presidio = config.data.sensitive.presidio
    inputs = {
        "presidio": presidio and presidio_versions(presidio),  # first: what is not installed is said before anything is read
        "sources": source_digests(config.data.source),
        "benchmarks": [location_digests(location) for location in config.data.split.benchmark_paths],
        "data": config.data.model_dump(
            mode="json", exclude={"source": {"path", "test_path"}, "split": {"benchmark_paths"}, "license": True}
        ),
        "max_length": config.model.max_length,
        "base": identify_base(config.model, context.workspace).digest,  # its tokenizer and template decide which rows are fit
        "division": history.name,
        "moves": moves_digest(recorded),
    }

    def build(folder: Path) -> PreparedData:
        # Imported only when there is something to do: they bring pandera and transformers.
        from tasks.data.prepare import prepare_data
        from tasks.data.template import template_of
        from tasks.embeddings import EmbeddedEmbedder

        if presidio is not None:
            open_presidio(presidio)  # so that it is known to be able before anything is read
        template = template_of(config.model, context.workspace)
        return prepare_data(config.data, template=template, folder=folder, recorded=recorded, embedder=EmbeddedEmbedder())

    result = run_stage(stage_store(context.workspace), "prepare", inputs, PreparedData, build)
    keep_assignments(assignments_path(history), pl.read_parquet(result.value.folder / "split.parquet"))
    drift = _show(config, context, history, result.value)
    warned = (*result.value.warnings, *(drift.warnings if drift else ()))
    return StageResult(result.name, result.value.model_copy(update={"warnings": warned}), result.key, result.seconds, result.reused)


def _show(config: PipelineConfig, context: RunContext, history: Path, prepared: PreparedData) -> Drift | None:
    """The page in the run's folder and on the tracking server, its summary on the flow run's, and the log."""
    from tasks.data.history import drift_since_last_run, keep_profile
    from tasks.data.page import render_page, summary_markdown
    from tasks.data.reporting import read_report

    report = read_report(prepared.folder)
    drift = drift_since_last_run(history, report)
    page = run_folder(context.workspace, context.run_id) / DATA_PAGE
    write_atomically(page, render_page(report, drift).encode())
    create_markdown_artifact(summary_markdown(report, drift, page), key="data-preparation")
    logger = get_run_logger()
    logger.info("%s", report.format_reason)
    for warning in (*prepared.warnings, *(drift.warnings if drift else ())):
        logger.warning("%s", warning)
    tracker = MlflowTracker(read_machine().mlflow_url)
    tracker.log_file(context.mlflow_run_id, page)
    for side, dataset in datasets_of(report, config.registry.model_name).items():
        tracker.log_dataset(context.mlflow_run_id, dataset)
        logger.info("%s rows: %d", side, dataset.rows)
    keep_profile(history, report)
    return drift


def datasets_of(report: DataReport, model_name: str) -> dict[str, TrackedDataset]:
    """Each side as the tracking server lists it."""
    profile: dict[str, float | str] = {"format": report.format, "labels": float(len(report.profile.labels)), "digest": report.digest}
    return {
        side: TrackedDataset(
            name=f"{model_name}: {side}", digest=report.digest, source=report.source, rows=getattr(report.counts, side),
            context=name, profile=profile,
        )
        for side, name in _CONTEXTS.items()
    }  # fmt: skip
