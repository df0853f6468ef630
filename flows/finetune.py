"""The main job: prepare, train, evaluate, judge, register; promotion is started only when every gate passes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field

from flows.preparation import preparation
from flows.starting import start_promotion
from pipeline_config.environment import read_machine
from pipeline_config.loading import PresetName, load_config
from tasks.evaluate.custom import require_metrics
from tasks.evaluate.task import evaluate_model, judge, plan_gates
from tasks.registry.task import find_rival, is_already_live, register
from tasks.report.opening import open_run, tracked_until_closed
from tasks.report.task import RunReport
from tasks.train.task import train

# Prefect keeps only what `json_schema_extra` says: `Field(title=...)` gives way to the parameter's name.
Preset = Annotated[
    PresetName, Field(json_schema_extra={"title": "Preset", "description": "Starting point: data, model, training and gates"})
]
ConfigFile = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "title": "Configuration file",
            "description": "YAML on the worker's machine, full path; differences from the preset only",
        }
    ),
]
Overrides = Annotated[
    list[str],
    Field(json_schema_extra={"title": "Overrides", "description": "KEY=VALUE, such as training.epochs=1 or gates.min_accuracy=0.8"}),
]


@flow(name="finetune", persist_result=False)
def finetune(preset: Preset = "demo", config_file: ConfigFile = None, overrides: Overrides = []) -> State:  # noqa: B006
    """Fine-tunes a model and, if all gates pass, asks for its promotion.

    A failing gate is an outcome, not a crash: the run completes under a name that says so.
    """
    machine = read_machine()
    config = load_config(preset, Path(config_file) if config_file else None, overrides)
    require_metrics(config.evaluation)  # what is missing is better known before training than after it
    context = open_run(config, machine, str(flow_run.get_id()), datetime.now(UTC))
    with RunReport(config, context, machine) as report, tracked_until_closed(context, machine):
        prepared = report.add(preparation(config, context))
        plan_gates(config, prepared)
        trained = report.add(train(config, context, prepared))
        rival = find_rival(config, context, trained)
        evaluated = report.add(evaluate_model(config, context, prepared, trained, rival))
        judged = report.add(judge(config, context, prepared, trained, evaluated))
        report.publish()
        registered = report.add(register(config, context, prepared, trained, evaluated, judged))
        if judged.value.report.verdict == "pass":
            if is_already_live(context, registered.value):
                report.already_live()
            else:
                report.promoted(start_promotion(registered.value, machine))
    return report.final_state()
