"""What the plan says before training."""

import pytest

from pipeline_config.gates import GateConfig, ImprovementGate, NonInferiorityGate, OverfittingGate, SuperiorityGate, ThresholdGate
from tasks.planning import plan, shortfalls

GATES: dict[str, GateConfig] = {
    "min_accuracy": ThresholdGate(threshold=0.8),
    "fit": OverfittingGate(kind="overfitting"),
    "not_worse": NonInferiorityGate(kind="non_inferiority", threshold=0.03),
    "better": SuperiorityGate(kind="superiority"),
    "beats_base": ImprovementGate(kind="improvement", threshold=0.2),
}


def test_every_gate_that_compares_is_planned_with_its_assumption() -> None:
    planned = {entry.gate: entry for entry in plan(GATES, 600)}
    assert list(planned) == ["beats_base", "better", "not_worse"]
    # 2.8 standard errors of 0.316 a row in 3 points.
    assert planned["not_worse"].rows == pytest.approx(870, abs=5)
    assert planned["better"].rows == pytest.approx(870, abs=10)
    assert "10% of the rows differing" in planned["not_worse"].sentence()
    assert planned["beats_base"].rows is not None
    assert planned["beats_base"].rows < 300


def test_a_test_set_that_is_too_small_is_warned_of() -> None:
    assert [warning.split(":")[0] for warning in shortfalls(GATES, 600)] == ["better", "not_worse"]
    assert "there are 600, which is too few" in shortfalls(GATES, 600)[0]
    assert shortfalls(GATES, 1000) == []


def test_what_is_expected_can_be_said() -> None:
    gate = SuperiorityGate(kind="superiority", expected_gain=0.1)
    [planned] = plan({"better": gate}, 100)
    assert planned.rows == 100  # fewer would have the power, but the gate asks for these
    [hopeless] = plan({"better": gate.model_copy(update={"expected_gain": -0.1})}, 10_000)
    assert (hopeless.rows, hopeless.short) == (None, True)
    assert "no number of rows" in hopeless.sentence()


def test_means_are_planned_by_the_spread_of_a_row() -> None:
    gate = NonInferiorityGate(kind="non_inferiority", metric="rougeL", threshold=0.02, expected_spread=0.2)
    [planned] = plan({"replies": gate}, 100)
    assert planned.rows == pytest.approx(785, abs=2)
    assert planned.short
