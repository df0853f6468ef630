"""The Prefect shells of augmentation."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, PreparedData, RunContext
from tasks.augment.ablation import Arm, compare_arms, sentence
from tasks.stages import StageResult


@task(name="augment", persist_result=False, cache_policy=NO_CACHE)
def augment(
    config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData], ablation: StageResult[Ablation] | None
) -> StageResult[PreparedData]:
    """A place holder."""
    raise NotImplementedError


@task(name="compare operators", persist_result=False, cache_policy=NO_CACHE)
def compare(context: RunContext, without: Arm, arms: Sequence[Arm], steps: int) -> StageResult[Ablation]:
    """Says which operators have a measured lift."""
    result = compare_arms(context.workspace, without, arms, steps)
    found = result.value
    logger = get_run_logger()
    for arm in found.arms:
        logger.info("ablation: %s", sentence(arm, found))
    table = [arm.model_dump(mode="json") | {"interval": f"[{arm.interval[0]:+.3f}, {arm.interval[1]:+.3f}]"} for arm in found.arms]
    create_table_artifact(table=table, key="ablation", description=f"{found.metric.replace('_', ' ')} after {found.steps} steps each")
    return result
