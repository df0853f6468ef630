"""Sub-flow: from source files to rows fit for training and measuring."""

from prefect import flow

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, RunContext
from tasks.data.task import prepare
from tasks.stages import StageResult


@flow(name="preparation", validate_parameters=False, persist_result=False)
def preparation(config: PipelineConfig, context: RunContext) -> StageResult[PreparedData]:
    """Loads, validates, deduplicates and splits the rows.

    Raises:
        DataError: the data is refused; the message says where the quarantined rows are.
    """
    return prepare(config, context)
