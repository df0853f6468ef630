import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.gates import GateConfig, ImprovementGate, NonInferiorityGate, OverfittingGate, ThresholdGate
from tasks.artifacts import CurvePoint, EvaluationResult, Figures, Fit, GateReport, GateResult, SideFit, TrainedModel
from tasks.evaluate.gates import judge_gates, write_report
from tasks.evaluate.gates_case import Case
from tasks.evaluate.outcomes import Outcomes
from tasks.files import sha256_file
from tasks.verdict import verdict_of

GATES: dict[str, GateConfig] = {
    "min_accuracy": ThresholdGate(threshold=0.8),
    "max_perplexity": ThresholdGate(metric="perplexity", threshold=3, direction="max"),
    "beats_base": ImprovementGate(kind="improvement", threshold=0.2),
    "not_worse": NonInferiorityGate(kind="non_inferiority", threshold=0.05),
    "no_overfitting": OverfittingGate(kind="overfitting"),
}
RANK = {"fail": 0, "hold": 1, "pass": 2, "not_applicable": 2}


def right(share: float, rows: int) -> tuple[bool, ...]:
    return tuple(at < round(share * rows) for at in range(rows))


def make_case(
    tuned: Sequence[bool],
    base: Sequence[bool],
    champion: Sequence[bool] | None = None,
    saw: Sequence[bool] | None = None,
    losses: Sequence[float] = (0.5, 0.4),
    **changes: Any,
) -> Case:
    """A consistent evaluation of these outcomes, with some fields changed afterwards and unchecked."""
    rows = len(tuned)
    saw = (saw or [False] * rows) if champion is not None else []
    others = {"macro_f1": 0.8, "perplexity": 1.5}
    figures = [None if c is None else Figures(values={"accuracy": sum(c) / len(c), **others}) for c in (base, tuned, champion)]
    values: dict[str, Any] = {
        "folder": Path(), "rows": rows, "base": figures[0], "tuned": figures[1], "tfidf": Figures(), "champion": figures[2],
        "champion_name": "desk-v1" if champion is not None else None, "champion_fault": None, "champion_seen_rows": sum(saw),
        "tuned_train_accuracy": figures[1].get("accuracy") if figures[1] else None, "base_constrained": True,
        "fit": Fit(**{side: SideFit(rows=rows, loss=0.4, familiar=rows // 2) for side in ("train", "validation", "test")}),
        "wording": None, "canary_ranks": None,
    }  # fmt: skip
    outcomes = Outcomes(tuple(base), tuple(tuned), None if champion is None else tuple(champion), tuple(saw))
    curve = tuple(
        CurvePoint.model_construct(step=at, epoch=1.0, train_loss=None, validation_loss=loss) for at, loss in enumerate(losses, 1)
    )
    trained = TrainedModel.model_construct(artifact_digest="a", method="lora", curve=curve, shipped_step=len(losses))
    return Case(EvaluationResult.model_construct(**(values | changes)), outcomes, trained)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[bool, bool, bool, bool]]:
    """Outcomes of tuned, base and champion, and what the champion saw, row by row."""
    chance = random.Random(draw(st.integers(0, 1 << 30)))
    shares = draw(st.tuples(*[st.floats(0, 1)] * 3, st.floats(0, 0.3)))
    rows = draw(st.integers(100, 200))
    return [tuple(chance.random() < share for share in shares) for _ in range(rows)]  # type: ignore[misc]


def columns(table: Sequence[tuple[bool, ...]]) -> list[list[bool]]:
    return [list(column) for column in zip(*table, strict=True)]


def report_on(case: Case, gates: Mapping[str, GateConfig] = GATES) -> GateReport:
    return judge_gates(gates, case, data_digest="d", config_digest="c")


def judged(case: Case, name: str, **settings: Any) -> GateResult:
    gate = GATES[name].model_copy(update=settings)
    return report_on(case, {name: gate}).gates[0]


def test_a_good_first_version_passes_and_the_champion_gate_does_not_apply() -> None:
    report = report_on(make_case(right(0.9, 400), right(0.2, 400)))
    assert {gate.name: gate.outcome for gate in report.gates} == {
        "min_accuracy": "pass", "max_perplexity": "pass", "beats_base": "pass", "no_overfitting": "pass", "not_worse": "not_applicable",
    }  # fmt: skip
    assert report.verdict == "pass"


@pytest.mark.parametrize(("correct", "outcome"), [(0.8, "pass"), (0.7975, "fail")])
def test_a_threshold_is_read_off_the_point_and_shows_its_interval(correct: float, outcome: str) -> None:
    result = judged(make_case(right(correct, 400), right(0.2, 400)), "min_accuracy")
    assert result.outcome == outcome
    assert result.interval is not None
    assert result.interval[0] < correct < result.interval[1]
    assert f"[{result.interval[0]:.3f}, {result.interval[1]:.3f}] on 400 rows" in result.reason


def test_too_few_rows_are_held_however_good_they_look() -> None:
    case = make_case(right(1, 99), right(0, 99), right(0.5, 99))
    outcomes = {gate.name: gate.outcome for gate in report_on(case).gates}
    assert [outcomes[name] for name in ("min_accuracy", "beats_base", "not_worse")] == ["hold", "hold", "hold"]
    assert report_on(case).verdict == "hold"


@pytest.mark.parametrize(("tuned", "outcome"), [(0.46, "pass"), (0.42, "hold"), (0.37, "hold"), (0.34, "fail")])
def test_improvement_is_read_off_the_interval(tuned: float, outcome: str) -> None:
    result = judged(make_case(right(tuned, 400), right(0.2, 400)), "beats_base")
    assert result.outcome == outcome
    assert result.interval is not None
    assert result.value == pytest.approx(tuned - 0.2)


@pytest.mark.parametrize(
    ("gained", "lost", "outcome"), [(20, 20, "pass"), (10, 14, "pass"), (20, 30, "hold"), (10, 40, "fail"), (0, 9, "pass")]
)
def test_non_inferiority_passes_above_the_margin_and_fails_only_when_worse_for_sure(gained: int, lost: int, outcome: str) -> None:
    tuned = [True] * gained + [False] * lost + [True] * (400 - gained - lost)
    champion = [False] * gained + [True] * lost + [True] * (400 - gained - lost)
    assert judged(make_case(tuned, right(0, 400), champion), "not_worse").outcome == outcome


def test_a_held_comparison_says_how_many_more_rows_would_decide() -> None:
    result = judged(make_case(right(0.42, 400), right(0.2, 400)), "beats_base")
    assert "about 1765 more rows would decide" in result.reason  # at the level of a second look
    assert result.more_rows == 1765
    equal = judged(make_case(right(0.4, 400), right(0.2, 400)), "beats_base")
    assert "more rows would not decide" in equal.reason


def test_rows_that_the_champion_was_trained_on_do_not_count() -> None:
    tuned, champion = [False] * 100 + [True] * 300, [True] * 400
    assert judged(make_case(tuned, right(0, 400), champion), "not_worse").outcome == "fail"
    result = judged(make_case(tuned, right(0, 400), champion, saw=[True] * 100 + [False] * 300), "not_worse")
    assert (result.outcome, result.rows) == ("pass", 300)
    assert "100 rows left out" in result.reason
    assert judged(make_case(tuned, right(0, 400), champion, saw=[True] * 400), "not_worse").outcome == "hold"


def test_a_champion_that_cannot_be_asked_is_held_and_named() -> None:
    case = make_case(right(0.9, 400), right(0.2, 400), champion_name="desk-v1", champion_fault="its files do not match the manifest")
    result = judged(case, "not_worse")
    assert result.outcome == "hold"
    assert "desk-v1" in result.reason
    assert "do not match the manifest" in result.reason


@pytest.mark.parametrize(
    ("losses", "outcome"), [((0.5, 0.4), "pass"), ((0.4, 0.43), "pass"), ((0.4, 0.6), "fail"), ((0.4, math.nan), "hold")]
)
def test_overfitting_alone_can_close_the_gates(losses: tuple[float, ...], outcome: str) -> None:
    report = report_on(make_case(right(0.9, 400), right(0.2, 400), losses=losses))
    assert {gate.name: gate.outcome for gate in report.gates}["no_overfitting"] == outcome
    assert report.verdict == outcome


@pytest.mark.parametrize(
    "broken",
    [
        {"tuned": Figures()},
        {"tuned": Figures.model_construct(values={"accuracy": math.nan, "macro_f1": 0.8, "perplexity": 1.5})},
        {"tuned": Figures.model_construct(values={"accuracy": math.inf, "macro_f1": 0.8, "perplexity": 1.5})},
        {"tuned": Figures(values={"accuracy": 0.99, "macro_f1": 0.8, "perplexity": 1.5})},
        {"tuned": Figures.model_construct(values={"accuracy": 0.9, "macro_f1": 0.8, "perplexity": math.nan})},
        {"tuned": Figures(values={"accuracy": 0.9, "macro_f1": 0.8, "perplexity": None})},
        {"base": Figures()},
        {"base": Figures.model_construct(values={"accuracy": math.nan, "macro_f1": 0.1, "perplexity": 2.0})},
        {"base": Figures(values={"accuracy": 0.1, "macro_f1": 0.1, "perplexity": 2})},
        {"rows": 0},
        {"rows": 4000},
        {"tuned_train_accuracy": None},
        {"tuned_train_accuracy": math.nan},
        {"fit": None},
        {"champion_name": None},
        {"champion": Figures()},
        {"champion": None},
        {"champion_fault": "gone"},
    ],
)
def test_never_passes_on_a_broken_evaluation(broken: dict[str, Any]) -> None:
    case = make_case(right(0.9, 400), right(0.2, 400), right(0.9, 400))
    assert report_on(case).verdict == "pass"
    assert report_on(Case(case.evaluation.model_copy(update=broken), case.outcomes, case.trained)).verdict == "hold"


@given(
    tables(),
    st.sampled_from(["tuned", "base", "champion", "champion_saw"]),
    st.integers(0, 99),
)
def test_never_passes_when_outcomes_are_missing(rows: list[tuple[bool, bool, bool, bool]], which: str, kept: int) -> None:
    case = make_case(*columns(rows))
    broken = Outcomes(**(vars(case.outcomes) | {which: getattr(case.outcomes, which)[:kept]}))
    assert {gate.outcome for gate in report_on(Case(case.evaluation, broken, case.trained)).gates} == {"hold"}


@given(tables(), st.integers())
def test_the_report_does_not_depend_on_the_order_of_rows(rows: list[tuple[bool, bool, bool, bool]], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    first, second = (report_on(make_case(*columns(order))) for order in (rows, shuffled))
    assert first == second


@given(
    tables(),
    st.floats(0.05, 0.95),
    st.data(),
)
def test_one_more_right_answer_never_makes_an_outcome_worse(
    rows: list[tuple[bool, bool, bool, bool]], threshold: float, data: st.DataObject
) -> None:
    gates = GATES | {"min_accuracy": ThresholdGate(threshold=threshold), "beats_base": ImprovementGate(kind="improvement")}
    at = data.draw(st.integers(0, len(rows) - 1))
    better = [(True, *row[1:]) if index == at else row for index, row in enumerate(rows)]
    before, after = (report_on(make_case(*columns(order), tuned_train_accuracy=1.0), gates) for order in (rows, better))
    for old, new in zip(before.gates, after.gates, strict=True):
        assert RANK[new.outcome] >= RANK[old.outcome], (old, new)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"threshold": "pass", "overfitting": "pass", "non_inferiority": "not_applicable"}, "pass"),
        ({"threshold": "pass", "overfitting": "pass", "improvement": "hold"}, "hold"),
        ({"threshold": "fail", "overfitting": "pass", "improvement": "hold"}, "fail"),
        ({"threshold": "pass"}, "hold"),
        ({"overfitting": "pass", "improvement": "pass"}, "hold"),
        ({}, "hold"),
    ],
)
def test_the_verdict_needs_a_passed_threshold_and_the_overfitting_check(outcomes: dict[str, Any], verdict: str) -> None:
    results = [
        GateResult(name=k, kind=k, metric=None, value=None, threshold=0, interval=None, rows=None, outcome=o, reason="")
        for k, o in outcomes.items()
    ]
    assert verdict_of(results) == verdict


def test_equal_reports_are_equal_bytes_and_the_digest_is_theirs(tmp_path: Path) -> None:
    case = make_case(right(0.9, 400), right(0.2, 400))
    first = write_report(tmp_path / "one", report_on(case))
    second = write_report(tmp_path / "two", report_on(case, dict(reversed(GATES.items()))))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest == sha256_file(first.path)
    assert GateReport.model_validate(json.loads(first.path.read_bytes())) == first.report


def test_canaries_fail_whatever_the_gates_say() -> None:
    good = make_case(right(0.9, 400), right(0.2, 400))
    assert report_on(good).verdict == "pass"
    planted = report_on(replace(good, canaries=3))
    assert planted.verdict == "fail"
    assert [gate.name for gate in planted.gates if gate.outcome == "fail"] == ["no_canaries"]
