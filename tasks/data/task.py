"""The Prefect shell of preparation."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, RunContext
from tasks.data.quarantine import count_by_code
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
    inputs = {
        "sources": source_digests(config.data.source),
        "data": config.data.model_dump(mode="json", exclude={"source": {"path", "test_path"}}),
        "max_length": config.model.max_length,
        "base": identify_base(config.model, context.workspace).digest,  # its tokenizer decides which rows are too long
    }

    def build(folder: Path) -> PreparedData:
        # Imported only when there is something to do: they bring pandera and transformers.
        from tasks.chat import count_tokens_of
        from tasks.data.lengths import lazy_counter
        from tasks.data.prepare import prepare_data

        count_tokens = lazy_counter(lambda: count_tokens_of(config.model, context.workspace))
        return prepare_data(config.data, max_length=config.model.max_length, count_tokens=count_tokens, folder=folder)

    result = run_stage(stage_store(context.workspace), "prepare", inputs, PreparedData, build)
    _show(result)
    return result


def _show(result: StageResult[PreparedData]) -> None:
    from tasks.data.sensitive import reported_kinds

    counts = [{"rows": name, "count": count} for name, count in result.value.counts.model_dump().items()]
    kept = [{"rows": f"with {kind}, kept", "count": count} for kind, count in reported_kinds(result.value.folder).items()]
    codes = [{"rows": f"quarantined: {code}", "count": count} for code, count in count_by_code(result.value.folder).items()]
    create_table_artifact(
        table=counts + kept + codes, key="data-preparation", description=f"Rows in and out. Files: `{result.value.folder}`"
    )
