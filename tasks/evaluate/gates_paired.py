"""Comparisons with the base or the champion: the decision is what the drawn interval says."""

from collections.abc import Callable

from pipeline_config.gates import ImprovementGate, NonInferiorityGate, SuperiorityGate
from tasks.artifacts import GateResult, Outcome
from tasks.evaluate.comparing import Comparison, compare
from tasks.evaluate.gates_case import Case, result_of, shown
from tasks.evaluate.looks import SECOND_LEVEL
from tasks.evaluate.stored_rows import Scores
from tasks.statistics import LEVEL, Interval, rows_to_decide

Decide = Callable[[Interval], Outcome]
"""From an interval of how much better the tuned model is to an outcome; what is no number decides nothing."""


def better_than(threshold: float) -> Decide:
    """Pass if it is better by more than that for sure, fail if it is not for sure."""
    return lambda of: "pass" if of[0] > threshold else "fail" if of[1] <= threshold else "hold"


def not_worse_than(margin: float) -> Decide:
    """Pass if it is worse by less than the margin for sure, fail if it is worse for sure and that cannot be said."""
    return lambda of: "pass" if of[0] > -margin else "fail" if of[1] < 0 else "hold"


def judge_improvement(name: str, gate: ImprovementGate, case: Case) -> GateResult:
    """Tuned against the fairly prompted base."""
    missing = [who for who in ("base", "tuned") if getattr(case.evaluation, who).get(gate.metric) is None]
    if missing:
        return result_of(name, gate, "hold", f"{gate.metric} of {' and '.join(missing)} was not measured; held", rows=case.evaluation.rows)
    wanted = f"above the base in {gate.metric}, more than {gate.threshold:+g} is required"
    return _judge(name, gate, case, case.rows, "base", wanted, better_than(gate.threshold))


def judge_against_champion(name: str, gate: NonInferiorityGate | SuperiorityGate, case: Case) -> GateResult:
    """Tuned against the version in production, on the rows that it was not trained on."""
    if (result := _without_champion(name, gate, case)) is not None:
        return result
    rows = case.rows.unseen_by_champion()
    champion, seen = case.evaluation.champion_name, case.rows.rows - rows.rows
    left_out = f" ({seen} rows left out that it was trained on)" if seen else ""
    if isinstance(gate, SuperiorityGate):
        wanted, decide = f"more than {gate.threshold:+g} is required", better_than(gate.threshold)
    else:
        wanted, decide = f"a lower end above {-gate.threshold:+g} is required", not_worse_than(gate.threshold)
    return _judge(name, gate, case, rows, "champion", f"above {champion} in {gate.metric}{left_out}, {wanted}", decide)


def why_no_champion(case: Case, metric: str) -> tuple[Outcome, str] | None:
    """Why there is nothing to compare with, and what follows from that; null if there is a champion's metric on some unseen rows."""
    evaluation, champion = case.evaluation, case.evaluation.champion_name
    if champion is None:
        return "not_applicable", "there is no champion yet: first version"
    if evaluation.champion_fault is not None or case.outcomes.champion is None:
        return "hold", f"{champion} cannot be compared with: {evaluation.champion_fault or 'it gave no answers'}; held"
    if evaluation.champion is None or None in (evaluation.tuned.get(metric), evaluation.champion.get(metric)):
        return "hold", f"{metric} of tuned or {champion} was not measured; held"
    if not case.rows.unseen_by_champion().rows:
        return "hold", f"{champion} was trained on every test row; held"
    return None


def _without_champion(name: str, gate: NonInferiorityGate | SuperiorityGate, case: Case) -> GateResult | None:
    found = why_no_champion(case, gate.metric)
    return None if found is None else result_of(name, gate, *found)


def _judge(
    name: str,
    gate: ImprovementGate | NonInferiorityGate | SuperiorityGate,
    case: Case,
    rows: Scores,
    other: str,
    wanted: str,
    decide: Decide,
) -> GateResult:
    kind = case.kind(gate.metric)
    found = f"nobody measured {gate.metric}" if kind is None else compare(rows, kind, "tuned", other)
    if isinstance(found, str):
        return result_of(name, gate, "hold", f"{found}; held", rows=rows.rows)
    level = case.look.level or SECOND_LEVEL
    interval, value = found.interval(level), found.value
    text = f"tuned is {value:+.3f}{shown(interval, '+.3f')} {wanted}, on {found.rows} rows{_looked(case)}"
    outcome, more = decide(interval), None
    if case.look.level is None:
        outcome, text = "hold", f"{text}; held: the artifact has been judged {case.look.number - 1} times before, train another one"
    elif found.rows < gate.min_rows:
        outcome, text = "hold", f"{text}, and {gate.min_rows} rows are needed; held"
        more = max(gate.min_rows - found.rows, more_rows(found, decide) or 0) if case.look.number == 1 else None
    elif outcome == "hold":
        more = more_rows(found, decide) if case.look.number == 1 else None
        text = f"{text}; held: {_advice(case, more)}"
    return result_of(name, gate, outcome, text, value, interval, found.rows, level, more)


def more_rows(found: Comparison, decide: Decide) -> int | None:
    """How many more rows would decide at the level of a second look, if the rates stay as they are."""
    return rows_to_decide(found.rows, lambda many: decide(found.interval_on(SECOND_LEVEL, many)) != "hold")


def _advice(case: Case, more: int | None) -> str:
    if case.look.number > 1:
        return "this was the second and last look, train another artifact"
    return "at these rates " + (f"about {more} more rows would decide" if more is not None else "more rows would not decide")


def _looked(case: Case) -> str:
    """A later look says so, and at which level it is read."""
    if case.look.number == 1:
        return ""
    return f", look {case.look.number} at this artifact, one-sided {case.look.level or SECOND_LEVEL:g} in place of {LEVEL:g}"
