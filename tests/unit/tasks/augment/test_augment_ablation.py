"""What an operator is worth, from marks that were made up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline_config.augmentation import AugmentationConfig
from pipeline_config.errors import TrainingError
from pipeline_config.loading import load_config
from tasks.artifacts import (
    Ablation,
    Augmentation,
    OperatorCounts,
    PreparedData,
    RowCounts,
    TrainedModel,
    ValidationMarks,
)
from tasks.augment.ablation import OUTCOMES, WITHOUT, Arm, alone, compare_arms, is_missing, lift_of, sentence
from tasks.files import MARKS
from tasks.stages import StageResult
from tests.evaluations import make_trained

COUNTS = RowCounts(read=9, train=9, validation=0, test=0, quarantined=0, duplicates=0, unselected=0, set_aside=0)


def counts_of(name: str, accepted: int = 0, missing: str | None = None) -> OperatorCounts:
    return OperatorCounts(
        name=name, version=None, asked=accepted, accepted=accepted, rejected={}, similarity=None, seconds=0.0, missing=missing
    )


def prepared(*operators: OperatorCounts) -> PreparedData:
    augmentation = Augmentation(rows=sum(operator.accepted for operator in operators), operators=operators) if operators else None
    return PreparedData(
        folder=Path(), digest="d", training_digest="t", instruction=None, labels=None, counts=COUNTS, augmentation=augmentation
    )


def result(name: str, value: Any, key: str, *, reused: bool = False) -> StageResult[Any]:
    return StageResult(name, value, key, 1.0, reused)


def arm(
    folder: Path, name: str, right: Sequence[bool], *, clusters: Sequence[str] | None = None, steps: int = 5, reused: bool = False
) -> Arm:
    """An arm that answered so."""
    table = marks_of([float(value) for value in right], clusters=clusters)
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    table.write_parquet(home / MARKS)
    marks = ValidationMarks(folder=home, metric="exact_match", rows=len(right), value=sum(right) / len(right))
    rows = prepared() if name == WITHOUT else prepared(counts_of(name, 7))
    trained: TrainedModel = make_trained().model_copy(update={"steps": steps})
    parts = (result("augment", rows, name), result("train", trained, name), result("marks", marks, f"{name} {right}", reused=reused))
    return Arm(name, *parts)


def marks_of(amounts: Sequence[float], weights: Sequence[float] | None = None, clusters: Sequence[str] | None = None) -> pl.DataFrame:
    ids = [f"row {at}" for at in range(len(amounts))]
    return pl.DataFrame(
        {
            "row_id": ids, "cluster": list(clusters or ids), "answer": [None] * len(ids), "amount": list(amounts),
            "weight": list(weights or [1.0] * len(ids)),
        },
        schema_overrides={"answer": pl.String},
    )  # fmt: skip


def right(count: int, rows: int = 100) -> list[bool]:
    return [True] * count + [False] * (rows - count)


def test_an_operator_is_kept_only_if_its_lift_is_above_zero_for_sure(tmp_path: Path) -> None:
    without = arm(tmp_path, WITHOUT, right(50))
    arms = [arm(tmp_path, "synonym", right(70)), arm(tmp_path, "back_translation", right(52)), arm(tmp_path, "paraphrase", right(30))]

    found = compare_arms(tmp_path, without, arms, 5).value

    assert {each.name: each.kept for each in found.arms} == {"synonym": True, "back_translation": False, "paraphrase": False}
    assert found.dropped == ("back_translation", "paraphrase")
    kept = found.arms[0]
    assert (kept.value, kept.without, kept.rows, kept.accepted) == (0.7, 0.5, 100, 7)
    assert kept.lift == pytest.approx(0.2)
    assert 0 < kept.interval[0] < 0.2 < kept.interval[1]


def test_an_operator_without_any_row_has_no_lift(tmp_path: Path) -> None:
    found = compare_arms(tmp_path, arm(tmp_path, WITHOUT, right(60)), [arm(tmp_path, "synonym", right(60))], 5).value.arms[0]
    assert (found.lift, found.kept) == (0.0, False)
    assert found.interval[0] < 0 < found.interval[1]


def test_rows_of_one_cluster_are_no_independent_evidence() -> None:
    better, worse = [1.0] * 12 + [0.0] * 88, [0.0] * 100
    apart = lift_of(marks_of(better), marks_of(worse), loss=False)
    together = ["one"] * 12 + [f"row {at}" for at in range(88)]
    alike = lift_of(marks_of(better, clusters=together), marks_of(worse, clusters=together), loss=False)
    assert apart[0] == alike[0] == pytest.approx(0.12)
    assert apart[1][0] > 0 > alike[1][0]


def test_of_losses_less_is_better_and_each_token_counts_once() -> None:
    weights = [1.0, 3.0] * 50
    worse = marks_of([2.0 * weight + at % 7 / 10 for at, weight in enumerate(weights)], weights)
    better = marks_of([1.5 * weight + at % 5 / 10 for at, weight in enumerate(weights)], weights)
    lift, interval = lift_of(better, worse, loss=True)
    assert lift == pytest.approx((worse["amount"].sum() - better["amount"].sum()) / sum(weights))
    assert 0 < interval[0] < lift < interval[1]
    assert lift_of(worse, better, loss=True)[0] == pytest.approx(-lift)


def test_everybodys_answers_lie_beside_the_record(tmp_path: Path) -> None:
    found = compare_arms(tmp_path, arm(tmp_path, WITHOUT, right(1, 2)), [arm(tmp_path, "synonym", right(2, 2))], 5).value
    table = pl.read_parquet(found.folder / OUTCOMES)
    assert table.columns == [
        "row_id",
        "cluster",
        *(f"{name}.{what}" for name in (WITHOUT, "synonym") for what in ("answer", "amount", "weight")),
    ]
    assert table["without.amount"].to_list() == [1.0, 0.0]
    assert table["synonym.amount"].to_list() == [1.0, 1.0]


def test_unequal_steps_are_an_error_and_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="synonym 6"):
        compare_arms(tmp_path, arm(tmp_path, WITHOUT, right(5)), [arm(tmp_path, "synonym", right(9), steps=6)], 5)


def test_a_comparison_is_reused_if_all_its_parts_are(tmp_path: Path) -> None:
    def compared(*, reused: bool, with_synonyms: int = 60) -> StageResult[Ablation]:
        arms = [arm(tmp_path, "synonym", right(with_synonyms), reused=reused)]
        return compare_arms(tmp_path, arm(tmp_path, WITHOUT, right(50), reused=True), arms, 5)

    first = compared(reused=True)
    assert first.seconds > 6, "the seconds of all parts are among its own"
    again, other = compared(reused=True), compared(reused=True, with_synonyms=61)
    assert (first.key == again.key, first.key == other.key) == (True, False)
    assert not compared(reused=False).reused


def test_each_arm_has_one_operator_and_asks_for_no_ablation() -> None:
    augmentation = AugmentationConfig.model_validate(
        {"synonym": {}, "paraphrase": {}, "ablate": True, "ablation_steps": 5, "balance": True}
    )
    config = load_config("smoke").model_copy(update={"augmentation": augmentation})
    arm_of = alone(config, "paraphrase")
    assert list(arm_of.augmentation.operators()) == ["paraphrase"]
    assert (arm_of.augmentation.ablate, arm_of.augmentation.ablation_steps, arm_of.augmentation.balance) == (False, None, True)
    assert arm_of.training == config.training
    assert list(config.augmentation.operators()) == ["synonym", "paraphrase"]


def test_an_operator_is_missing_only_if_it_is_not_there() -> None:
    assert is_missing(prepared(counts_of("synonym", missing="WordNet: make system-deps")))
    assert not is_missing(prepared(counts_of("synonym", 0)))


def test_a_sentence_says_what_was_measured_and_what_follows(tmp_path: Path) -> None:
    arms = [arm(tmp_path, "synonym", right(70)), arm(tmp_path, "paraphrase", right(52))]
    found = compare_arms(tmp_path, arm(tmp_path, WITHOUT, right(50)), arms, 5).value
    kept, dropped = (sentence(each, found) for each in found.arms)
    assert kept.startswith("synonym: +0.200 [+0.1")
    assert "exact match over training without it, 5 steps each, on 100 validation rows, with 7 reworded rows; kept" in kept
    assert dropped.endswith("dropped: no measured lift")
