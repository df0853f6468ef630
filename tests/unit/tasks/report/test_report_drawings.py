"""Where the page draws what: nothing leaves its plot, and a drawing says what the gate says."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.gates import ThresholdGate
from tasks.artifacts import CurvePoint
from tasks.report.page_confusion import OTHER, confusion_of
from tasks.report.page_curves import draw_curves
from tasks.report.page_gates import GatePlot, drawn_gates
from tests.finished_runs import GATES, make_gate

NUMBERS = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 6))
LOSSES = st.floats(1e-5, 20, allow_nan=False)


def plot_of(configured: Any = None, **changes: Any) -> GatePlot:
    [drawn] = drawn_gates((make_gate(**{"name": "g", "kind": "threshold", **changes}),), {"g": configured} if configured else {})
    assert drawn.plot is not None
    return drawn.plot


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["improvement", "non_inferiority", "overfitting", "some_new_kind"]))
def test_point_bound_and_interval_stay_inside_and_in_order(value: float, threshold: float, one: float, other: float, kind: str) -> None:
    low, high = min(one, other, value), max(one, other, value)
    plot = plot_of(kind=kind, value=value, threshold=threshold, interval=(low, high))
    assert plot.interval is not None
    places = [0, plot.interval.start, plot.point, plot.interval.start + plot.interval.width, 100]
    assert all(left <= right + 1e-6 for left, right in pairwise(places))
    assert 0 <= plot.bound <= 100
    assert plot.allowed.width >= 0
    assert plot.allowed.start + plot.allowed.width <= 100 + 1e-9


@given(NUMBERS, NUMBERS, st.sampled_from(["min", "max"]))
def test_a_figure_on_the_side_that_passes_is_drawn_there(value: float, threshold: float, direction: Any) -> None:
    configured = ThresholdGate(threshold=threshold, direction=direction, metric="length_ratio")
    plot = plot_of(configured, metric="length_ratio", value=value, threshold=threshold, interval=None)
    passes = value >= threshold if direction == "min" else value <= threshold
    inside = plot.allowed.start - 1e-6 <= plot.point <= plot.allowed.start + plot.allowed.width + 1e-6
    assert inside == passes or abs(value - threshold) < 1e-5


def test_a_margin_is_below_zero() -> None:
    plot = plot_of(kind="non_inferiority", value=0.0, threshold=0.05, interval=(-0.02, 0.02))
    assert plot.bound_text == "> -0.050"
    assert plot.allowed.start < plot.point
    assert plot.described == "+0.000 with interval [-0.020, +0.020]; has to be above -0.050"


def test_shares_are_drawn_between_nothing_and_all() -> None:
    plot = plot_of(value=1.0, threshold=0.5, interval=(0.99, 1.0))
    assert (plot.high, plot.point) == ("1.000", 100)
    perplexity = plot_of(
        ThresholdGate(threshold=20, direction="max", metric="perplexity"), metric="perplexity", value=1.9, threshold=20, interval=None
    )
    assert perplexity.low == "0.000"


def test_a_gate_without_a_value_has_no_plot() -> None:
    drawn = drawn_gates(GATES, {})
    assert [gate.outcome for gate in drawn] == ["fail", "hold", "pass", "pass", "not_applicable"]
    assert [gate.name for gate in drawn if gate.plot is None] == ["leaks"]


def curve_of(*losses: tuple[float | None, float]) -> list[CurvePoint]:
    return [CurvePoint(step=10 * place, epoch=place, train_loss=one, validation_loss=two) for place, (one, two) in enumerate(losses, 1)]


@given(st.lists(st.tuples(st.none() | LOSSES, LOSSES), min_size=1, max_size=12))
def test_curves_stay_inside_and_higher_losses_stand_higher(losses: list[tuple[float | None, float]]) -> None:
    curve = curve_of(*losses)
    drawn = draw_curves(curve, shipped_step=10)
    assert drawn is not None
    assert drawn.shipped == drawn.validation[0]
    dots = [*drawn.train, *drawn.validation]
    assert all(0 <= dot.x <= 100 and -1e-6 <= dot.y <= 100 + 1e-6 for dot in dots)
    assert all(-1e-6 <= level.y <= 100 + 1e-6 for level in drawn.levels)
    values = [point.validation_loss for point in curve]
    by_height = sorted(range(len(values)), key=lambda place: (drawn.validation[place].y, -values[place]))
    assert [values[place] for place in by_height] == pytest.approx(sorted(values, reverse=True), rel=1e-6)


def test_no_curve_is_no_drawing_and_one_point_is_one() -> None:
    assert draw_curves((), 0) is None
    drawn = draw_curves(curve_of((None, 0.5)), shipped_step=99)
    assert drawn is not None
    assert (drawn.shipped, drawn.train, drawn.best.x) == (None, (), 50.0)


def test_losses_of_very_different_size_have_a_logarithmic_scale_and_say_so() -> None:
    wide, narrow = draw_curves(curve_of((2.0, 0.5), (0.01, 0.4)), 20), draw_curves(curve_of((2.0, 0.5), (0.4, 0.4)), 20)
    assert wide is not None
    assert narrow is not None
    assert (wide.logarithmic, narrow.logarithmic) == (True, False)
    assert [level.text for level in wide.levels] == ["0.01", "0.1", "1"]
    between = draw_curves(curve_of((0.9, 0.9), (0.11, 0.11)), 20)
    assert between is not None
    assert [level.text for level in between.levels] == ["0.2", "0.5"]
    assert [level.text for level in narrow.levels] == ["0", "0.5", "1", "1.5", "2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcx")), min_size=1, max_size=60))
def test_every_answer_is_in_one_cell_and_every_mistake_in_a_pair(answers: list[tuple[str, str]]) -> None:
    drawn = confusion_of([one for one, _ in answers], [f" {other}\n" for _, other in answers])
    assert drawn is not None
    labels = {one for one, _ in answers}
    wrong = Counter((one, other if other in labels else OTHER) for one, other in answers if one != other)
    assert sum(cell.count for cell in drawn.cells) == drawn.rows == len(answers)
    assert {(pair.expected, pair.answered): pair.count for pair in drawn.pairs} == wrong
    assert drawn.wrong == sum(wrong.values())
    assert all(cell.x + drawn.width <= 100 + 1e-6 and cell.y + drawn.height <= 100 + 1e-6 for cell in drawn.cells)
    assert all((cell.expected == cell.answered) == cell.right for cell in drawn.cells)


def test_no_rows_are_no_confusion() -> None:
    assert confusion_of([], []) is None
