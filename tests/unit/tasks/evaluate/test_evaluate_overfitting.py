import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts import CurvePoint
from tasks.evaluate.overfitting import Overfitting, judge_overfitting


def curve_of(*losses: float) -> list[CurvePoint]:
    # Unchecked, because a broken record is one of the things to stand up to.
    return [
        CurvePoint.model_construct(step=10 * at, epoch=float(at), train_loss=0.5, validation_loss=loss) for at, loss in enumerate(losses, 1)
    ]


def judge(losses: list[float], shipped: int, train: float | None = 0.9, test: float | None = 0.88) -> Overfitting:
    return judge_overfitting(curve_of(*losses), shipped, train, test, severe_rebound=1.2, largest_gap=0.3)


def test_the_best_point_of_the_curve_has_not_overfitted() -> None:
    found = judge([1.0, 0.5, 0.9], shipped=20)
    assert (found.severity, found.rebound, found.remedy) == ("none", 1.0, "")


@pytest.mark.parametrize(("last", "severity"), [(0.52, "none"), (0.53, "mild"), (0.59, "mild"), (0.61, "severe"), (2.0, "severe")])
def test_severity_follows_the_rebound_of_the_shipped_checkpoint(last: float, severity: str) -> None:
    assert judge([1.0, 0.5, last], shipped=30).severity == severity


def test_judges_the_checkpoint_that_ships_and_not_the_last_one() -> None:
    assert judge([0.5, 0.52, 5.0], shipped=20).severity == "none"


@pytest.mark.parametrize(("test", "severity"), [(0.9, "none"), (0.8, "mild"), (0.65, "severe")])
def test_severity_follows_the_gap_between_training_and_test_rows(test: float, severity: str) -> None:
    assert judge([0.5], shipped=10, train=0.99, test=test).severity == severity


def test_names_the_remedy_that_fits() -> None:
    assert "load_best_model_at_end" in judge([1.0, 0.5, 2.0], shipped=30).remedy
    assert "early_stopping_patience" in judge([1.0, 0.5, 0.55], shipped=30).remedy
    assert "more training rows" in judge([1.0, 0.5], shipped=20, train=1.0, test=0.6).remedy
    assert "learning_rate" in judge([0.5, 0.9], shipped=10, train=1.0, test=0.6).remedy


def test_an_untrained_adapter_has_nothing_to_overfit_with() -> None:
    found = judge([], shipped=0, train=None, test=None)
    assert found.severity == "none"
    assert "nothing was trained" in found.finding


@pytest.mark.parametrize(
    ("losses", "shipped", "train", "test"),
    [
        ([], 30, 0.9, 0.9),
        ([0.5, math.nan], 20, 0.9, 0.9),
        ([math.nan, 0.5], 20, 0.9, 0.9),
        ([0.5, math.inf], 10, 0.9, 0.9),
        ([0.5], 15, 0.9, 0.9),
        ([0.5], 10, None, 0.9),
        ([0.5], 10, 0.9, None),
        ([0.5], 10, math.nan, 0.9),
        ([0.5], 10, 0.9, math.nan),
    ],
)
def test_concludes_nothing_from_broken_numbers(losses: list[float], shipped: int, train: float | None, test: float | None) -> None:
    assert judge(losses, shipped, train, test).severity == "unknown"


@given(
    st.lists(st.floats(1e-3, 10), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1), st.floats(1, 3), st.floats(0, 0.5), st.data()
)
def test_a_worse_checkpoint_is_never_judged_milder(
    losses: list[float], train: float, test: float, factor: float, drop: float, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(losses) - 1))
    order = ["none", "mild", "severe"]
    # Another point keeps the minimum where it was, so that only the shipped checkpoint gets worse.
    before = judge([*losses, min(losses)], 10 * (at + 1), train, test)
    worse = [loss * factor if index == at else loss for index, loss in enumerate(losses)]
    after = judge([*worse, min(losses)], 10 * (at + 1), train, test - drop)
    assert order.index(after.severity) >= order.index(before.severity)
