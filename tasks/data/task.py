"""The Prefect shell of preparation."""

from pathlib import Path

import polars as pl
from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, RunContext
from tasks.data.assignments import assignments_path, history_folder, keep_assignments, moves_digest, read_assignments
from tasks.data.quarantine import count_by_code
from tasks.data.readers import location_digests
from tasks.data.sources import source_digests
from tasks.files import stage_store
from tasks.models import identify_base
from tasks.stages import StageResult, run_stage


@task(name="prepare", persist_result=False, cache_policy=NO_CACHE)
def prepare(config: PipelineConfig, context: RunContext) -> StageResult[PreparedData]:
    """Prepares the rows, or reuses them when source files, settings and base model are the same.

    Raises:
        DataError: see `tasks.data.prepare.prepare_data`.
    """
    history = history_folder(context.workspace, config.registry.model_name, config.data.split)
    recorded = read_assignments(assignments_path(history))
    inputs = {
        "sources": source_digests(config.data.source),
        "benchmarks": [location_digests(location) for location in config.data.split.benchmark_paths],
        "data": config.data.model_dump(mode="json", exclude={"source": {"path", "test_path"}, "split": {"benchmark_paths"}}),
        "max_length": config.model.max_length,
        "base": identify_base(config.model, context.workspace).digest,  # its tokenizer and template decide which rows are fit
        "division": history.name,
        "moves": moves_digest(recorded),
    }

    def build(folder: Path) -> PreparedData:
        # Imported only when there is something to do: they bring pandera and transformers.
        from tasks.data.prepare import prepare_data
        from tasks.data.template import template_of

        return prepare_data(config.data, template=template_of(config.model, context.workspace), folder=folder, recorded=recorded)

    result = run_stage(stage_store(context.workspace), "prepare", inputs, PreparedData, build)
    keep_assignments(assignments_path(history), pl.read_parquet(result.value.folder / "split.parquet"))
    _show(result)
    return result


def _show(result: StageResult[PreparedData]) -> None:
    counts = [{"rows": name, "count": count} for name, count in result.value.counts.model_dump().items()]
    codes = [{"rows": f"quarantined: {code}", "count": count} for code, count in count_by_code(result.value.folder).items()]
    create_table_artifact(table=counts + codes, key="data-preparation", description=f"Rows in and out. Files: `{result.value.folder}`")
