import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.gates import ForgettingGate
from tasks.artifacts import EvaluationResult, GateResult, GeneralLosses, RetainedCategory, Retention, TrainedModel
from tasks.evaluate.forgetting import ACCURACY, PERPLEXITY, judge_forgetting, ratio_interval
from tasks.evaluate.gates import judge_gates
from tasks.evaluate.gates_case import Case
from tasks.evaluate.looks import Look
from tasks.evaluate.outcomes import Outcomes

GATE = ForgettingGate(kind="forgetting", max_drop=0.05, max_perplexity_ratio=1.25)
BASE = tuple(2.0 + 0.01 * (at % 7) for at in range(40))
RANK = {"fail": 0, "hold": 1, "pass": 2}


def losses(more: float, **changes: Any) -> GeneralLosses:
    """Tuned's loss is higher by about this many nats a token."""
    tuned = tuple(loss + more + 0.02 * (at % 5 - 2) for at, loss in enumerate(BASE))
    values: dict[str, Any] = {"source": "here", "digest": "d", "block_tokens": 255, "base": BASE, "tuned": tuned}
    return GeneralLosses.model_construct(**(values | changes))


def category(questions: int = 130, right: int = 100, gained: int = 3, lost: int = 3, **changes: Any) -> RetainedCategory:
    values: dict[str, Any] = {
        "name": "knowledge", "questions": questions, "base_right": right, "tuned_right": right + gained - lost,
        "gained": gained, "lost": lost,
    }  # fmt: skip
    return RetainedCategory.model_construct(**(values | changes))


def retention(*categories: RetainedCategory, **changes: Any) -> Retention:
    values: dict[str, Any] = {
        "suite_digest": "s", "categories": categories or (category(),) * 3, "unanswered": 0, "text": losses(0.05)
    }  # fmt: skip
    return Retention.model_construct(**(values | changes))


def judged(found: Retention | None, **settings: Any) -> GateResult:
    return judge_forgetting("no_forgetting", GATE.model_copy(update=settings), found)


def test_a_model_that_kept_what_it_could_passes() -> None:
    result = judged(retention())
    assert (result.outcome, result.metric, result.rows) == ("pass", ACCURACY, 390)
    assert result.value == 0
    assert result.interval is not None
    assert result.interval[0] > -0.05
    assert "knowledge 100 to 100 of 130" in result.reason
    assert "10200 tokens of general text" in result.reason


@pytest.mark.parametrize(("lost", "outcome"), [(3, "pass"), (8, "hold"), (30, "fail")])
def test_the_drop_is_read_off_the_paired_interval(lost: int, outcome: str) -> None:
    result = judged(retention(*[category(lost=lost)] * 3))
    assert (result.outcome, result.metric, result.threshold) == (outcome, ACCURACY, -0.05)
    assert result.interval is not None
    low, high = result.interval
    assert {"pass": low > -0.05, "hold": low <= -0.05 <= high, "fail": high < -0.05}[outcome]
    assert f"[{low:+.3f}, {high:+.3f}]" in result.reason


@pytest.mark.parametrize(("more", "outcome"), [(0.1, "pass"), (math.log(1.25), "hold"), (0.4, "fail")])
def test_perplexity_is_read_off_the_interval_over_blocks(more: float, outcome: str) -> None:
    result = judged(retention(text=losses(more)))
    assert result.outcome == outcome
    if outcome != "pass":
        assert (result.metric, result.threshold) == (PERPLEXITY, 1.25)
        assert result.value == pytest.approx(math.exp(more), rel=1e-6)
        assert result.interval is not None
        assert result.interval[0] < math.exp(more) < result.interval[1]


def test_the_worse_half_decides_and_both_are_said() -> None:
    wrecked = judged(retention(*[category(lost=30)] * 3, text=losses(2.0)))
    assert wrecked.outcome == "fail"
    assert wrecked.reason.count("is required") == 2
    assert judged(retention(*[category(lost=8)] * 3, text=losses(2.0))).metric == PERPLEXITY


@pytest.mark.parametrize(
    "broken",
    [
        None,
        retention(category(questions=33, right=30)),
        retention(unanswered=1),
        retention(category(tuned_right=120)),
        retention(category(gained=31, lost=0)),
        retention(category(gained=0, lost=101)),
        retention(text=None),
        retention(text=losses(0.05, tuned=())),
        retention(text=losses(0.05, base=(), tuned=())),
        retention(text=losses(0.05, tuned=(*BASE[:-1], None))),
        retention(text=losses(0.05, tuned=(*BASE[:-1], math.nan))),
        retention(text=losses(0.05, base=BASE[:1], tuned=BASE[:1])),
    ],
)
def test_never_passes_on_what_is_missing_or_broken(broken: Retention | None) -> None:
    assert judged(broken).outcome == "hold"


def test_an_evaluation_that_contradicts_itself_is_held() -> None:
    evaluation = EvaluationResult.model_construct(rows=7, retention=retention())
    case = Case(evaluation, Outcomes(base=(), tuned=(), champion=None, champion_saw=()), TrainedModel.model_construct(artifact_digest="a"))
    (result,) = judge_gates({"no_forgetting": GATE}, case, data_digest="d", config_digest="c").gates
    assert (result.outcome, result.threshold) == ("hold", -0.05)


@pytest.mark.parametrize(("number", "level", "outcome"), [(1, 0.025, "pass"), (2, 0.01, "hold"), (3, 0.01, "hold")])
def test_a_second_look_is_stricter_and_a_third_decides_nothing(number: int, level: float, outcome: str) -> None:
    close = retention(*[category(gained=6, lost=8)] * 3)
    result = judge_forgetting("no_forgetting", GATE, close, Look(number))
    assert (result.outcome, result.level) == (outcome, level)


def test_without_enough_questions_it_is_held_however_good_they_look() -> None:
    assert judged(retention(category(questions=99, right=50, gained=49, lost=0))).outcome == "hold"
    assert judged(retention(category(questions=99, right=50, gained=49, lost=0)), min_questions=50).outcome == "pass"


@given(st.integers(0, 30), st.integers(0, 30), st.floats(-0.3, 0.5))
def test_one_answer_kept_more_never_makes_it_worse(gained: int, lost: int, more: float) -> None:
    before = judged(retention(*[category(gained=gained, lost=lost + 1)] * 3, text=losses(more)))
    kept = judged(retention(*[category(gained=gained, lost=lost)] * 3, text=losses(more)))
    read_better = judged(retention(*[category(gained=gained, lost=lost + 1)] * 3, text=losses(more - 0.01)))
    assert RANK[kept.outcome] >= RANK[before.outcome]
    assert RANK[read_better.outcome] >= RANK[before.outcome]


def test_the_ratio_does_not_depend_on_the_order_of_blocks() -> None:
    there = losses(0.1)
    back = losses(0.1, base=there.base[::-1], tuned=there.tuned[::-1])
    assert ratio_interval(there) == ratio_interval(back)


def test_a_ratio_that_never_varies_is_known_exactly() -> None:
    same = losses(0, tuned=tuple(loss + 0.1 for loss in BASE))
    assert ratio_interval(same) == pytest.approx((math.exp(0.1), math.exp(0.1)))
