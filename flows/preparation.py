"""Sub-flow: from source files to rows fit for training and measuring, some of them reworded."""

from prefect import flow

from flows.ablation import ablation
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, RunContext
from tasks.augment.task import augment, plan_operators
from tasks.data.task import prepare
from tasks.stages import StageResult


@flow(name="preparation", validate_parameters=False, persist_result=False)
def preparation(config: PipelineConfig, context: RunContext) -> StageResult[PreparedData]:
    """Loads, validates, deduplicates and splits the rows, and rewords training rows where operators are on.

    In the run's summary all of it is preparation.

    Raises:
        ConfigError: an operator is required and not there.
        DataError: the data is refused; the message says where the quarantined rows are.
    """
    if not config.augmentation.operators():
        return prepare(config, context)
    plan_operators(config, context)
    prepared = prepare(config, context)
    compared = ablation(config, context, prepared) if config.augmentation.ablate else None
    return augment(config, context, prepared, compared).following(compared or prepared, prepared.name)
