"""The ablation as a flow: a tiny model is really trained with and without each operator's rows, one of which helps and one does nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline_config.augmentation import AugmentationConfig
from pipeline_config.environment import Machine
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, PreparedData, RunContext
from tasks.report.opening import open_run
from tasks.rows import Row
from tasks.stages import StageResult
from tests.builders import make_prepared, make_row, tiny_base
from tests.endpoints import LoopbackEndpoint, Said, completion

pytestmark = pytest.mark.services

TRAINED = {"network": "vpn", "hardware": "printer", "access": "password", "billing": "laptop"}
ELSEWHERE = {"vpn": "hour", "printer": "paper", "password": "reset", "laptop": "email"}
"""Other words for the same: validation rows have these, and no training row has them."""
STEPS = 120


def answer(body: dict[str, Any], before: int) -> Said:
    """Knows other words, and refuses to translate."""
    asked = body["messages"][-1]["content"]
    if asked.startswith("Translate"):
        return completion("I'm sorry, but I can't help with that.")
    return completion(" ".join(ELSEWHERE.get(word, word) for word in asked.rpartition("Message: ")[2].split()))


def rows(words: dict[str, str], count: int, first: int) -> list[Row]:
    labels = sorted(words)
    made = [make_row(f"{words[labels[n % 4]]} please {n}", labels[n % 4]) for n in range(first, first + count)]
    return sorted(made, key=lambda row: row["row_id"])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[LoopbackEndpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = LoopbackEndpoint(answer)
        yield server
        server.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, endpoint: LoopbackEndpoint) -> PipelineConfig:
    folder, api = tmp_path_factory.mktemp("ablation"), {"url": endpoint.url, "model": "wise"}
    return PipelineConfig.model_validate(
        {
            "data": {"source": {"path": "unused"}, "split": {"near_jaccard": None}},
            "augmentation": {
                "paraphrase": {"ratio": 1.0, "endpoint": api},
                "back_translation": {"ratio": 1.0, "backend": "endpoint", "endpoint": api},
                # Two words and a number: what their vectors say is not what is looked at here.
                "accept": {"min_similarity": -1, "max_similarity": 1, "max_held_out_similarity": 1, "neighbours": 0},
                "ablate": True, "ablation_steps": STEPS,
            },
            "model": tiny_base(folder / "base").model_dump(),
            "training": {"learning_rate": 0.02, "evals_per_epoch": 1, "epochs": 1, "lora": {"lora_dropout": 0.0}},
            "evaluation": {"max_new_tokens": 12},
            "gates": {"min_accuracy": {"kind": "threshold", "threshold": 0.5}, "fit": {"kind": "overfitting"}},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def context(machine_up: Machine, config: PipelineConfig) -> RunContext:
    return open_run(config, machine_up, "0123456789", datetime.now(UTC))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> StageResult[PreparedData]:
    folder = tmp_path_factory.mktemp("rows") / "prepared"
    of_validation = {label: ELSEWHERE[word] for label, word in TRAINED.items()}
    data = make_prepared(folder, rows(TRAINED, 48, 0), rows(of_validation, 40, 100), rows(of_validation, 4, 200))
    return StageResult("prepare", data, data.digest, 1.0, True)


@pytest.fixture(scope="module")
def measured(config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData]) -> StageResult[Ablation]:
    from flows.ablation import ablation

    result = ablation(config, context, prepared)
    assert result is not None
    return result


def test_an_operator_that_helps_is_kept_and_one_that_gives_nothing_is_dropped(measured: StageResult[Ablation]) -> None:
    found = {arm.name: arm for arm in measured.value.arms}
    assert list(found) == ["back_translation", "paraphrase"]
    helps, nothing = found["paraphrase"], found["back_translation"]
    assert (helps.accepted, nothing.accepted) == (48, 0)
    assert helps.kept, helps
    assert helps.lift > 0.2
    assert (nothing.value, nothing.lift, nothing.kept) == (nothing.without, 0.0, False)
    assert measured.value.dropped == ("back_translation",)
    assert (measured.value.steps, measured.value.metric, helps.rows) == (STEPS, "exact_match", 40)


def test_each_training_has_curves_of_its_own_below_the_run(
    machine_up: Machine, context: RunContext, measured: StageResult[Ablation]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(machine_up.mlflow_url)
    parent = client.get_run(context.mlflow_run_id)
    below = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{context.mlflow_run_id}'")
    arms = {run.info.run_name.rpartition(" ")[2]: run for run in below}
    assert set(arms) == {"without", "paraphrase", "back_translation"}
    assert {run.info.status for run in arms.values()} == {"FINISHED"}
    for name in ("without", "paraphrase"):
        assert len(client.get_metric_history(arms[name].info.run_id, "loss")) == STEPS
    assert arms["paraphrase"].data.metrics["validation/exact_match"] == measured.value.arms[1].value
    assert "loss" not in parent.data.metrics


def test_a_second_ablation_trains_nothing_and_asks_nobody(
    config: PipelineConfig,
    context: RunContext,
    prepared: StageResult[PreparedData],
    measured: StageResult[Ablation],
    endpoint: LoopbackEndpoint,
) -> None:
    from flows.ablation import ablation

    before = len(endpoint.asked)
    again = ablation(config, context, prepared)
    assert again is not None
    assert (again.reused, again.key, again.value) == (True, measured.key, measured.value)
    assert len(endpoint.asked) == before


def test_what_was_dropped_is_off_and_the_rows_say_why(
    config: PipelineConfig,
    context: RunContext,
    prepared: StageResult[PreparedData],
    measured: StageResult[Ablation],
    endpoint: LoopbackEndpoint,
) -> None:
    from tasks.augment.task import augment

    before = len(endpoint.asked)
    found = augment(config, context, prepared, measured).value.augmentation
    assert found is not None
    assert (found.rows, found.ablation) == (48, measured.value)
    assert {counts.name: counts.dropped is None for counts in found.operators} == {"paraphrase": True, "back_translation": False}
    assert len(endpoint.asked) == before, "candidates of the arms are used again"


def test_what_cannot_be_had_here_is_not_tried(config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData]) -> None:
    from flows.ablation import ablation

    nowhere = AugmentationConfig.model_validate({"back_translation": {"pivot": "xx"}, "ablate": True})
    assert ablation(config.model_copy(update={"augmentation": nowhere}), context, prepared) is None


def test_a_missing_operator_that_is_required_ends_the_flow(
    config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData]
) -> None:
    from flows.ablation import ablation
    from pipeline_config.errors import ConfigError

    required = AugmentationConfig.model_validate({"back_translation": {"pivot": "xx", "required": True}, "ablate": True})
    with pytest.raises(ConfigError, match="back_translation is required"):
        ablation(config.model_copy(update={"augmentation": required}), context, prepared)
