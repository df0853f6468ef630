import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.training import TrainingConfig
from tasks.artifacts import CurvePoint, EvaluationResult, Figures, Fit, SideFit, TrainedModel, WordingFit
from tasks.evaluate.exposure import Exposure
from tasks.evaluate.overfitting import Evidence, Limits, Overfitting, evidence_of, judge_overfitting, leak_chance, leak_share
from tasks.evaluate.remedies import KNOBS, knob_of
from tasks.methods import METHODS

ORDER = ["none", "mild", "unknown", "severe"]
SIDES = ("train", "validation", "test")


def point(at: int, validation: float, train: float | None = 0.5) -> CurvePoint:
    # Unchecked, because a broken record is one of the things to stand up to.
    return CurvePoint.model_construct(step=10 * at, epoch=float(at), train_loss=train, validation_loss=validation)


def side(loss: float | None, familiar: int, rows: int = 100) -> SideFit:
    return SideFit.model_construct(rows=rows, loss=loss, familiar=familiar)


def fit(train: SideFit | None = None, validation: SideFit | None = None, test: SideFit | None = None) -> Fit:
    return Fit.model_construct(train=train or side(0.1, 90), validation=validation or side(0.5, 30), test=test or side(0.5, 30))


FIT = fit()


def evidence(losses: list[float], shipped: int, **changes: Any) -> Evidence:
    curve = tuple(point(at, loss) for at, loss in enumerate(losses, 1))
    values = {"method": "lora", "fit": FIT, "train_accuracy": 0.9, "test_accuracy": 0.88}
    return Evidence(curve=curve, shipped_step=shipped, **(values | changes))


def judge(losses: list[float], shipped: int, **changes: Any) -> Overfitting:
    return judge_overfitting(evidence(losses, shipped, **changes))


def test_the_best_point_of_the_curve_has_not_overfitted() -> None:
    found = judge([1.0, 0.5, 0.9], shipped=20)
    assert (found.severity, found.rebound, found.best_step, found.remedy) == ("none", 1.0, 20, "")


def at_test(loss: float) -> Fit:
    return fit(test=side(loss, 30))


@pytest.mark.parametrize(("last", "severity"), [(0.52, "none"), (0.53, "mild"), (0.54, "mild"), (0.56, "severe"), (2.0, "severe")])
def test_severity_follows_the_rebound_of_the_shipped_checkpoint(last: float, severity: str) -> None:
    assert judge([1.0, 0.5, last], shipped=30, fit=at_test(last)).severity == severity


def test_a_rebound_is_drawn_a_quarter_of_the_way_to_what_validation_and_test_rows_say_together() -> None:
    assert judge([1.0, 0.5, 0.6], shipped=30, fit=at_test(0.6 * 1.5)).rebound == pytest.approx(1.2 * 1.25**0.25)
    assert judge([1.0, 0.5, 0.6], shipped=30, fit=at_test(0.4)).rebound == pytest.approx(1.2 * (5 / 6) ** 0.25)


def test_the_more_validation_rows_the_less_test_rows_change() -> None:
    few, many = (fit(validation=side(0.6, 3, rows), test=side(0.9, 30)) for rows in (10, 1000))
    drawn = [judge([1.0, 0.5, 0.6], shipped=30, fit=given).rebound or 0 for given in (many, few)]
    assert 1.2 < drawn[0] < 1.22 < 1.3 < drawn[1]


def test_test_rows_do_not_outvote_the_curve() -> None:
    assert judge([1.0, 0.5, 0.7], shipped=30, fit=at_test(0.001)).severity == "severe"
    assert judge([1.0, 0.5, 0.51], shipped=30, fit=at_test(50.0)).rebound == pytest.approx(1.02 * 2**0.25)
    assert judge([1.0, 0.6, 0.5], shipped=30, fit=at_test(50.0)).rebound == 1.0


def test_judges_the_checkpoint_that_ships_and_not_the_last_one() -> None:
    assert judge([0.5, 0.52, 5.0], shipped=20).severity == "none"


def test_the_gate_says_what_is_severe() -> None:
    shown = evidence([0.5, 0.7], 20, fit=at_test(0.7))
    assert judge_overfitting(shown, Limits(severe_rebound=1.5)).severity == "mild"
    assert judge_overfitting(shown, Limits(severe_rebound=1.3)).severity == "severe"


@pytest.mark.parametrize(
    ("test", "largest", "severity"), [(0.9, None, "none"), (0.6, None, "mild"), (0.1, None, "mild"), (0.1, 0.8, "severe")]
)
def test_a_gap_of_accuracies_alone_is_severe_only_where_the_gate_says_so(test: float, largest: float | None, severity: str) -> None:
    found = judge_overfitting(evidence([0.5], 10, train_accuracy=0.99, test_accuracy=test), Limits(largest_gap=largest))
    assert found.severity == severity
    assert found.accuracy_gap == pytest.approx(0.99 - test)


def test_shows_the_gap_of_losses_and_how_fast_it_grows() -> None:
    curve = (point(1, 1.0, 1.2), point(2, 0.8, 0.6), point(3, 0.8, 0.2), point(4, 0.9, 0.1))
    found = judge_overfitting(replace(evidence([1.0], 10), curve=curve, shipped_step=30))
    assert found.gap_slope == pytest.approx((0.6 + 0.2) / 2), (
        "the line through -0.2, 0.2 and 0.6; what comes behind the shipped one does not count"
    )
    assert found.loss_gap == pytest.approx(0.4)
    assert "+0.400 nats a token" in found.finding


@pytest.mark.parametrize("train_losses", [(None, None), (0.5, None), (math.nan, 0.5)])
def test_without_two_training_losses_there_is_no_slope_and_still_a_verdict(train_losses: tuple[float | None, float | None]) -> None:
    curve = tuple(point(at, 0.5, train) for at, train in enumerate(train_losses, 1))
    found = judge_overfitting(replace(evidence([0.5], 10), curve=curve, shipped_step=20))
    assert (found.severity, found.gap_slope) == ("none", None)


# A validation set of which most rows are training rows: its loss falls on and on.
LEAKED = fit(side(0.01, 90), side(0.13, 80), side(0.6, 20))
FALLING = (point(1, 1.0, 1.3), point(2, 0.3, 0.4), point(3, 0.16, 0.1), point(4, 0.13, 0.02))


def test_validation_rows_that_the_model_knows_do_not_vouch_for_it() -> None:
    leaked = replace(evidence([1.0], 10), curve=FALLING, shipped_step=40, fit=LEAKED)
    found = judge_overfitting(leaked)
    assert leak_share(LEAKED) == pytest.approx((0.8 - 0.2) / (0.9 - 0.2))
    assert found.leak_chance is not None
    assert found.leak_chance < 1e-6
    assert found.severity in ("unknown", "severe")
    assert "cannot be believed" in found.finding
    assert judge_overfitting(replace(leaked, fit=fit(side(0.01, 90), side(0.13, 20), side(0.6, 20)))).severity == "none"


def test_what_is_not_known_counts_more_than_what_is_mild() -> None:
    found = judge([0.5], 10, fit=LEAKED, test_accuracy=0.4)
    assert (found.severity, found.rebound) == ("unknown", 1.0)
    assert "group_column" in found.remedy


def test_the_rebound_is_read_off_the_test_rows_where_validation_rows_are_known() -> None:
    """Half of the validation rows are training rows: their loss is the mean of what training and unseen rows have."""
    unseen, train = [1.0, 0.5, 0.8], [1.0, 0.3, 0.02]
    behind = [train[0], *train]  # the loss that is logged with a point is that of the steps before it
    curve = tuple(point(at, (u + t) / 2, behind[at - 1]) for at, (u, t) in enumerate(zip(unseen, train, strict=True), 1))
    curve = tuple(p.model_copy(update={"train_loss": t}) for p, t in zip(curve, [1.3, train[0], train[1]], strict=True))
    half = fit(side(train[-1], 90), side(0.41, 50), side(unseen[-1], 10))
    found = judge_overfitting(replace(evidence([1.0], 10), curve=curve, shipped_step=30, fit=half))
    assert leak_share(half) == pytest.approx(0.5)
    assert curve[-1].validation_loss < min(p.validation_loss for p in curve[:-1]) * 1.03, "the curve itself shows next to nothing"
    assert found.severity == "severe"
    assert found.rebound == pytest.approx(0.8 / 0.5, rel=0.05)


def test_a_chance_is_that_of_the_exact_test() -> None:
    from scipy.stats import fisher_exact

    for known, others in ((12, 25), (3, 25), (16, 0), (0, 40)):
        wanted = fisher_exact([[known, 16 - known], [others, 96 - others]], alternative="greater").pvalue
        assert leak_chance(fit(validation=side(0.1, known, 16), test=side(0.5, others, 96))) == pytest.approx(wanted)


def test_a_few_more_familiar_rows_than_expected_are_no_leak() -> None:
    assert judge([0.5], 10, fit=fit(validation=side(0.5, 34))).severity == "none"
    # Very many rows, a little easier than the test's: surely so, and still no leak.
    easier = fit(validation=side(0.4, 5000, 10000), test=side(0.5, 4000, 10000))
    assert leak_chance(easier) < 1e-9
    assert judge([0.5], 10, fit=easier).severity == "none"


@pytest.mark.parametrize(("augmented", "severity"), [(0.2, "none"), (0.29, "none"), (0.31, "mild")])
def test_augmented_rows_that_are_known_worse_than_their_parents_are_mild(augmented: float, severity: str) -> None:
    found = judge([0.5], 10, wording=WordingFit(parents=0.2, augmented=augmented))
    assert (found.severity, found.wording_ratio) == (severity, pytest.approx(augmented / 0.2))


@pytest.mark.parametrize(("ranks", "severity"), [((60, 12, 101), "none"), ((1, 1, 90), "severe"), ((1, 6, 4, 3, 2), "mild")])
def test_memorised_canaries_are_told(ranks: tuple[int, ...], severity: str) -> None:
    found = judge([0.5], 10, canaries=len(ranks), exposure=Exposure(ranks, 1023))
    assert found.severity == severity
    assert ("memorised" in found.finding) == (severity != "none")


def test_names_the_remedy_that_fits() -> None:
    assert "load_best_model_at_end" in judge([1.0, 0.5, 2.0], shipped=30).remedy
    assert "about 2.0 epochs" in judge([1.0, 0.5, 0.55], shipped=30).remedy
    assert "learning_rate" in judge([0.5, 0.9], shipped=20).remedy
    assert "more training rows" in judge([1.0, 0.5], shipped=20, train_accuracy=1.0, test_accuracy=0.6).remedy
    assert "group_column" in judge_overfitting(replace(evidence([1.0], 10), curve=FALLING, shipped_step=40, fit=LEAKED)).remedy


@pytest.mark.parametrize("method", METHODS)
def test_the_remedy_names_a_setting_that_the_method_reads(method: str) -> None:
    remedy = judge([0.5], 10, method=method, train_accuracy=1.0, test_accuracy=0.6).remedy
    assert knob_of(method) in remedy
    words = [word.strip(".,()") for word in knob_of(method).split() if word.startswith("training.")]
    assert words
    for word in words:
        value: Any = TrainingConfig()
        for name in word.split(".")[1:]:
            assert name in type(value).model_fields, word
            value = getattr(value, name)
        section = word.split(".")[1]
        assert section not in METHODS or section == method or (method, section) == ("qlora", "lora")


def test_a_method_of_another_package_has_a_remedy_too() -> None:
    assert set(KNOBS) == set(METHODS)
    assert "training.learning_rate" in judge([0.5], 10, method="mine.methods:M", train_accuracy=1.0, test_accuracy=0.6).remedy


def test_an_untrained_adapter_has_nothing_to_overfit_with() -> None:
    found = judge([], shipped=0, fit=None, train_accuracy=None, test_accuracy=None)
    assert found.severity == "none"
    assert "nothing was trained" in found.finding


def test_a_curve_that_begins_late_is_not_believed() -> None:
    late = (point(30, 0.5), point(60, 0.5))
    found = judge_overfitting(replace(evidence([1.0], 10), curve=late, shipped_step=600))
    assert found.severity == "unknown"
    assert "30.0 epochs" in found.finding


BROKEN: list[dict[str, Any]] = [
    {"fit": None},
    *({"fit": FIT.model_copy(update={name: side(loss, 30)})} for name in SIDES for loss in (None, math.nan, math.inf)),
    *({"fit": FIT.model_copy(update={name: side(0.5, 0, rows=0)})} for name in SIDES),
    {"fit": FIT.model_copy(update={"validation": side(0.5, 101)})},
    *({name: value} for name in ("train_accuracy", "test_accuracy") for value in (None, math.nan, math.inf)),
    *({"wording": WordingFit.model_construct(parents=one, augmented=0.5)} for one in (None, math.nan)),
    {"wording": WordingFit.model_construct(parents=0.5, augmented=None)},
    {"canaries": 3},
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_concludes_nothing_where_a_number_is_missing(broken: dict[str, Any]) -> None:
    assert judge([0.5], 10).severity == "none"
    assert judge([0.5], 10, **broken).severity == "unknown"


@pytest.mark.parametrize(
    ("losses", "shipped"), [([], 30), ([0.5, math.nan], 20), ([math.nan, 0.5], 20), ([0.5, math.inf], 10), ([0.5], 15), ([0.5], 0)]
)
def test_concludes_nothing_from_a_broken_curve(losses: list[float], shipped: int) -> None:
    assert judge(losses, shipped).severity == "unknown"


LOSSES = st.floats(1e-3, 10)
COUNTS = st.integers(0, 40)


@st.composite
def cases(draw: st.DrawFn) -> Evidence:
    """Any evidence that is whole, its shipped checkpoint being one of the curve's."""
    losses = draw(st.lists(LOSSES, min_size=1, max_size=8))
    sides = [side(draw(LOSSES), draw(COUNTS), 40) for _ in range(3)]
    return evidence(
        losses, 10 * draw(st.integers(1, len(losses))), fit=fit(*sides), train_accuracy=draw(st.floats(0, 1)),
        test_accuracy=draw(st.floats(0, 1)),
    )  # fmt: skip


def worsened(whole: Evidence, factor: float) -> Evidence:
    """The shipped checkpoint with so many times its loss on all unseen rows, where another point keeps the curve's minimum."""
    smallest = min(p.validation_loss for p in whole.curve)
    curve = [
        p.model_copy(update={"validation_loss": p.validation_loss * factor}) if p.step == whole.shipped_step else p for p in whole.curve
    ]
    assert whole.fit is not None
    sides = {
        name: getattr(whole.fit, name).model_copy(update={"loss": getattr(whole.fit, name).loss * factor})
        for name in ("validation", "test")
    }
    return replace(whole, curve=(*curve, point(len(curve) + 1, smallest)), fit=whole.fit.model_copy(update=sides))


def rank(of: Evidence) -> int:
    return ORDER.index(judge_overfitting(of).severity)


@given(cases(), st.floats(1, 3))
def test_a_worse_rebound_is_never_judged_milder(whole: Evidence, factor: float) -> None:
    assert rank(worsened(whole, factor)) >= rank(worsened(whole, 1.0))


@given(cases(), st.lists(st.floats(0, 1), min_size=2, max_size=4))
def test_a_wider_gap_of_accuracies_is_never_judged_milder(whole: Evidence, tests: list[float]) -> None:
    for better, worse in pairwise(sorted(tests, reverse=True)):
        assert rank(replace(whole, test_accuracy=worse)) >= rank(replace(whole, test_accuracy=better))


@given(cases(), st.data())
def test_whatever_is_missing_is_never_none(whole: Evidence, data: st.DataObject) -> None:
    assert whole.fit is not None
    name = data.draw(st.sampled_from(["fit", "train_accuracy", "test_accuracy", "curve", *SIDES]))
    bad = data.draw(st.sampled_from([None, math.nan, math.inf]))
    if name in SIDES:
        changes: dict[str, Any] = {"fit": whole.fit.model_copy(update={name: side(bad, 0, 40)})}
    elif name == "curve":
        changes = {"curve": tuple(p for p in whole.curve if p.step != whole.shipped_step)}
    else:
        changes = {name: None if name == "fit" else bad}
    assert judge_overfitting(replace(whole, **changes)).severity == "unknown"


def test_evidence_is_read_off_the_records_of_a_run() -> None:
    trained = TrainedModel.model_construct(method="ia3", curve=(point(1, 0.5),), shipped_step=10)
    evaluation = EvaluationResult.model_construct(
        fit=FIT, tuned_train_accuracy=0.9, tuned=Figures(values={"accuracy": 0.8}), wording=None, canary_ranks=(3, 128)
    )
    found = evidence_of(trained, evaluation, canaries=2)
    assert (found.method, found.shipped_step, found.fit, found.test_accuracy) == ("ia3", 10, FIT, 0.8)
    assert found.exposure == Exposure((3, 128), 127)
    assert evidence_of(trained, evaluation.model_copy(update={"canary_ranks": None}), canaries=2).exposure is None
