"""Sub-flow: what each operator of augmentation is worth, by trainings that differ in nothing but its rows."""

from prefect import flow

from pipeline_config.environment import read_machine
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, PreparedData, RunContext
from tasks.augment.ablation import WITHOUT, Arm, alone, is_missing
from tasks.augment.task import augment, compare
from tasks.evaluate.task import mark_arm
from tasks.methods.settings import settle
from tasks.report.opening import open_arm, tracked_until_closed
from tasks.stages import StageResult
from tasks.train.steps import ending_after, steps_per_epoch
from tasks.train.task import train


@flow(name="ablation", validate_parameters=False, persist_result=False)
def ablation(config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData]) -> StageResult[Ablation] | None:
    """Trains without reworded rows and with those of each operator alone, all for as many steps, and compares them on validation rows.

    Every training, every answer and the comparison are stages: what was done is not done again, and a killed one goes on.

    Returns:
        Null if no operator can be had on this machine.
    """
    names = config.augmentation.operators()
    reworded = {name: augment(alone(config, name), context, prepared, None) for name in names}
    there = {name: rows for name, rows in reworded.items() if not is_missing(rows.value)}
    if not there:
        return None
    steps = config.augmentation.ablation_steps or steps_per_epoch(prepared.value.training_rows, settle(config.training).training)
    without = _try(WITHOUT, config, context, prepared, steps)
    return compare(context, without, [_try(name, config, context, rows, steps) for name, rows in there.items()], steps)


def _try(name: str, config: PipelineConfig, context: RunContext, rows: StageResult[PreparedData], steps: int) -> Arm:
    """One training and its answers, with a run of its own in the tracking server."""
    machine = read_machine()
    ending = config.model_copy(update={"training": ending_after(config.training, steps, rows.value.training_rows)})
    arm = open_arm(ending, machine, context, name)
    with tracked_until_closed(arm, machine):
        trained = train.with_options(task_run_name=f"train {name}")(ending, arm, rows)
        marks = mark_arm.with_options(task_run_name=f"mark {name}")(ending, arm, rows, trained)
    return Arm(name, rows, trained, marks)
