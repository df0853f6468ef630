"""A gate on every slice of the test rows: by absolute bounds, or by comparisons with the champion under Holm's correction."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline_config.gates import SlicesGate
from tasks.artifacts import GateResult, Outcome, SliceResult
from tasks.evaluate.comparing import Comparison, compare, measure_figure
from tasks.evaluate.gates_absolute import bound, meets
from tasks.evaluate.gates_case import Case, result_of, shown
from tasks.evaluate.gates_paired import not_worse_than, why_no_champion
from tasks.evaluate.looks import SECOND_LEVEL
from tasks.evaluate.metric_kinds import MetricKind
from tasks.evaluate.stored_rows import Scores
from tasks.statistics import LEVEL, holm_levels

REST = "(other)"
"""Stands for all slices that have too few rows of their own."""
_MOST_NAMED = 5


class _Slice(NamedTuple):
    name: str
    rows: Scores
    threshold: float


def judge_slices(name: str, gate: SlicesGate, case: Case) -> GateResult:
    """Passes if every slice does, fails if one does, and is held otherwise."""
    against_champion = gate.test == "non_inferiority"
    if against_champion and (found := why_no_champion(case, gate.metric)) is not None:
        return result_of(name, gate, *found)
    rows, kind = case.rows.unseen_by_champion() if against_champion else case.rows, case.kind(gate.metric)
    if kind is None:
        return result_of(name, gate, "hold", f"nobody measured {gate.metric}; held", rows=rows.rows)
    slices = _divide(gate, rows)
    if isinstance(slices, str):
        return result_of(name, gate, "hold", f"{slices}; held", rows=rows.rows)
    if against_champion and case.look.level is None:
        return result_of(name, gate, "hold", f"the artifact has been judged {case.look.number - 1} times before; held", rows=rows.rows)
    judged = _compared(gate, slices, kind, case.look.level or SECOND_LEVEL) if against_champion else _bounded(gate, slices, kind)
    return _together(name, gate, judged, rows.rows)


def _divide(gate: SlicesGate, rows: Scores) -> list[_Slice] | str:
    """The slices that are judged, those with too few rows as one; or why there are none."""
    counted = rows.slices(gate.by)
    if not counted:
        return f"the test rows are not divided by {gate.by}"
    unknown = sorted({*gate.values, *gate.thresholds} - set(counted) - {REST})
    if unknown:
        return f"no test row has {gate.by} {', '.join(map(repr, unknown))}"
    wanted = {value: counted[value] for value in gate.values or counted if value in counted}
    large = [value for value, there in wanted.items() if there >= gate.min_rows]
    small = [value for value in wanted if value not in large]
    parts = [_Slice(value, rows.where(gate.by, value), gate.thresholds.get(value, gate.threshold)) for value in large]
    if small:
        parts.append(_Slice(small[0] if len(small) == 1 else REST, rows.where(gate.by, *small), _strictest(gate, small)))
    return parts


def _strictest(gate: SlicesGate, values: Sequence[str]) -> float:
    """Of slices that are judged together, none is let off its own bound."""
    bounds = [gate.thresholds.get(value, gate.threshold) for value in [*values, REST] if value != REST or REST in gate.thresholds]
    return max(bounds) if gate.test == "threshold" and gate.direction == "min" else min(bounds)


def _bounded(gate: SlicesGate, slices: Sequence[_Slice], kind: MetricKind) -> list[SliceResult]:
    """Each slice off its own point, as every absolute gate."""
    results = []
    for part in slices:
        found = measure_figure(part.rows, kind, "tuned")
        if isinstance(found, str):
            results.append(_slice_result(part, "hold"))
            continue
        met: Outcome = "pass" if meets(found.value, part.threshold, gate.direction) else "fail"
        outcome: Outcome = "hold" if found.rows < gate.min_rows else met
        results.append(_slice_result(part, outcome, found.value, found.interval, LEVEL, found.rows))
    return results


def _compared(gate: SlicesGate, slices: Sequence[_Slice], kind: MetricKind, level: float) -> list[SliceResult]:
    """Each slice off an interval whose two ends are read at the levels that Holm gives them."""
    found = {part.name: compare(part.rows, kind, "tuned", "champion") for part in slices}
    told = {name: comparison for name, comparison in found.items() if isinstance(comparison, Comparison)}
    margins = {part.name: part.threshold for part in slices}
    # A slice that cannot be compared counts among them all the same: it must not make it easier for the others.
    passing = holm_levels(len(slices), level, lambda name, at: told[name].interval(at)[0] > -margins[name], list(told))
    failing = holm_levels(len(slices), level, lambda name, at: told[name].interval(at)[1] < 0, list(told))
    results = []
    for part in slices:
        if part.name not in told:
            results.append(_slice_result(part, "hold"))
            continue
        comparison = told[part.name]
        interval = comparison.interval(passing[part.name])[0], comparison.interval(failing[part.name])[1]
        outcome = "hold" if comparison.rows < gate.min_rows else not_worse_than(part.threshold)(interval)
        results.append(_slice_result(part, outcome, comparison.value, interval, passing[part.name], comparison.rows))
    return results


def _together(name: str, gate: SlicesGate, slices: list[SliceResult], rows: int) -> GateResult:
    outcomes = {part.outcome for part in slices}
    outcome: Outcome = "fail" if "fail" in outcomes else "hold" if "hold" in outcomes else "pass"
    wanted = bound(gate.threshold, gate.direction) if gate.test == "threshold" else f"a lower end above {-gate.threshold:+g}"
    text = f"{gate.metric} in {len(slices)} slices by {gate.by}, {wanted} is required of each"
    for verdict, word in (("fail", "failed"), ("hold", "held")):
        named = [f"{part.slice} {_number(part, gate)} on {part.rows} rows" for part in slices if part.outcome == verdict]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        text += f"; {word}: {', '.join(named[:_MOST_NAMED])}{more}" if named else ""
    values = [part.value for part in slices if part.value is not None]
    worst = (max(values) if gate.test == "threshold" and gate.direction == "max" else min(values)) if values else None
    return result_of(name, gate, outcome, text, worst, rows=rows, slices=tuple(slices))


def _number(part: SliceResult, gate: SlicesGate) -> str:
    form = "+.3f" if gate.test == "non_inferiority" else ".3f"
    return "(not measured)" if part.value is None else f"{part.value:{form}}{shown(part.interval, form)}"


def _slice_result(
    part: _Slice, outcome: Outcome, value: float | None = None, interval: tuple[float, float] | None = None, level: float | None = None,
    rows: int | None = None,
) -> SliceResult:  # fmt: skip
    return SliceResult(
        slice=part.name, value=value, threshold=part.threshold, interval=interval, level=level if interval else None,
        rows=part.rows.rows if rows is None else rows, outcome=outcome,
    )  # fmt: skip
