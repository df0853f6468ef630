from pathlib import Path
from typing import Any

from pipeline_config.gates import OverfittingGate, ThresholdGate
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, AblationArm, PreparedData
from tasks.augment.keep import keep_augmented, wanted_operators
from tasks.augment.operators import Candidate, Request
from tasks.stages import StageResult
from tests.builders import tiny_base
from tests.fakes import FakeOperator
from tests.unit.tasks.augment import augment_builders as build


class World:
    """A workspace with prepared rows."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.config = PipelineConfig(
            data=build.data_config(), augmentation=build.settings(**changes), model=tiny_base(folder / "base"),
            gates={"fit": OverfittingGate(kind="overfitting"), "good": ThresholdGate(threshold=0.5)},
        )  # fmt: skip
        self.prepared = StageResult("prepare", build.prepared_in(folder / "prepared", build.rows_of(build.ROWS)), "key", 1.0, reused=False)

    def augment(self, operator: FakeOperator) -> StageResult[PreparedData]:
        return keep_augmented(self.config, self.folder, self.prepared, [operator], [], None, build.WordCounter())


def test_the_same_rows_and_operators_are_reused(tmp_path: Path) -> None:
    world, operator = World(tmp_path), FakeOperator("synonym", build.politely)
    first, second = world.augment(operator), world.augment(operator)
    assert (first.reused, second.reused) == (False, True)
    assert first.value == second.value
    assert second.value.folder.parent.name == "augment"
    assert len(operator.asked) == 20
    other = world.augment(FakeOperator("synonym", build.politely, version="another"))
    assert other.key != first.key


def test_a_stage_with_missing_answers_is_made_again_and_meanwhile_gives_the_same_rows(tmp_path: Path) -> None:
    def partly(request: Request) -> str | Candidate:
        return build.politely(request) if request.seed % 2 else Candidate(request.key, None, "HTTP 503", final=False)

    world, away = World(tmp_path), FakeOperator("synonym", partly)
    first = world.augment(away)
    assert first.value.augmentation is not None
    assert 0 < first.value.augmentation.rows < 20
    asked = len(away.asked)
    second = world.augment(away)
    assert second.reused
    assert (second.key, second.value.training_digest) == (first.key, first.value.training_digest)
    assert second.value.folder == first.value.folder
    assert asked < len(away.asked) < 2 * asked, "only what was not answered is asked for again"
    back = world.augment(FakeOperator("synonym", build.politely))
    assert back.value.augmentation is not None
    assert back.value.augmentation.rows == 20
    assert back.key != first.key


def test_children_fit_into_the_context_of_the_model(tmp_path: Path) -> None:
    world = World(tmp_path)
    short = world.config.model.model_copy(update={"max_length": 50})
    world.config = world.config.model_copy(update={"model": short})
    augmented = world.augment(FakeOperator("synonym", build.politely)).value.augmentation
    assert augmented is not None
    assert augmented.operators[0].rejected.get("does not fit into the context", 0) > 0


def test_an_ablation_switches_off_what_has_no_measured_lift(tmp_path: Path) -> None:
    arm = AblationArm(name="synonym", accepted=5, rows=10, value=0.5, without=0.5, lift=0.0, interval=(-0.1, 0.1), kept=False)
    ablation = Ablation(folder=tmp_path, steps=3, arms=(arm, arm.model_copy(update={"name": "paraphrase", "kept": True})))
    config = build.settings(paraphrase={})
    assert list(wanted_operators(config, ablation).operators()) == ["paraphrase"]
    assert wanted_operators(config, None) == config
    augmented = build.augment(
        tmp_path, build.prepared_in(tmp_path / "prepared", build.rows_of(build.ROWS)), [FakeOperator("paraphrase", build.politely)],
        wanted_operators(config, ablation), ablation=ablation,
    )  # fmt: skip
    assert augmented.augmentation is not None
    assert augmented.augmentation.ablation == ablation
    dropped = augmented.augmentation.operators[-1]
    assert (dropped.name, dropped.asked, dropped.dropped) == ("synonym", 0, "lift +0.000 [-0.100, +0.100]")
    assert any("synonym is off, because the ablation measured no lift" in warning for warning in augmented.warnings)
