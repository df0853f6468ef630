"""The Prefect shells of augmentation."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, Augmentation, PreparedData, RunContext
from tasks.augment.ablation import Arm, compare_arms, sentence
from tasks.augment.catalogue import open_operators
from tasks.augment.keep import keep_augmented, wanted_operators
from tasks.augment.sentences import sentence_of_missing
from tasks.embeddings import EmbeddedEmbedder
from tasks.stages import StageResult


@task(name="plan augmentation", persist_result=False, cache_policy=NO_CACHE)
def plan_operators(config: PipelineConfig, context: RunContext) -> None:
    """Says before anything is read which operators cannot be had here, and what brings them.

    Raises:
        ConfigError: one of them is required.
    """
    _, missing = open_operators(config.augmentation, config.model, context.workspace)
    for lacking in missing:
        get_run_logger().warning("plan: %s", sentence_of_missing(lacking))


@task(name="augment", persist_result=False, cache_policy=NO_CACHE)
def augment(
    config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData], ablation: StageResult[Ablation] | None
) -> StageResult[PreparedData]:
    """Rewords training rows, or reuses what the same rows, settings and operators gave before. With no operator on, rows stay as they are.

    Raises:
        ConfigError: an operator is required and not there; the message says what brings it.
        DataError: see `tasks.augment.stage.augment_data`.
    """
    if not config.augmentation.operators():
        return prepared
    wanted = wanted_operators(config.augmentation, ablation.value if ablation is not None else None)
    operators, missing = open_operators(wanted, config.model, context.workspace)
    result = keep_augmented(config, context.workspace, prepared, operators, missing, ablation, EmbeddedEmbedder())
    if result.value.augmentation is not None:
        _show(result.value.augmentation)
    for warning in result.value.warnings[len(prepared.value.warnings) :]:
        get_run_logger().warning("%s", warning)
    return result


@task(name="compare operators", persist_result=False, cache_policy=NO_CACHE)
def compare(context: RunContext, without: Arm, arms: Sequence[Arm], steps: int) -> StageResult[Ablation]:
    """Says which operators have a measured lift.

    Raises:
        TrainingError: an arm took another number of steps.
    """
    result = compare_arms(context.workspace, without, arms, steps)
    found = result.value
    for arm in found.arms:
        get_run_logger().info("ablation: %s", sentence(arm, found))
    table = [arm.model_dump(mode="json") | {"interval": f"[{arm.interval[0]:+.3f}, {arm.interval[1]:+.3f}]"} for arm in found.arms]
    create_table_artifact(table=table, key="ablation", description=f"{found.metric.replace('_', ' ')} after {found.steps} steps each")
    return result


def _show(augmentation: Augmentation) -> None:
    rows = [
        {
            "operator": counts.name, "asked": counts.asked, "accepted": counts.accepted, "similarity": counts.similarity,
            "refused": ", ".join(f"{reason} {count}" for reason, count in counts.rejected.items()),
            "off because": counts.missing or counts.dropped,
        }
        for counts in augmentation.operators
    ]  # fmt: skip
    create_table_artifact(table=rows, key="augmentation", description=f"{augmentation.rows} training rows were added")
