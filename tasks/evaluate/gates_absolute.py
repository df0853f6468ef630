"""Absolute gates: the tuned model's own figure against a bound. Decided off the point; the interval is shown beside it."""

import math

from pipeline_config.gates import NOT_BY_ROW, ThresholdGate
from tasks.artifacts import GateResult
from tasks.evaluate.comparing import Measured, measure_figure
from tasks.evaluate.gates_case import Case, is_number, result_of, shown
from tasks.statistics import LEVEL

_CLOSE = 1e-6
"""Largest relative difference between a stored figure and the one made from the stored rows."""


def judge_threshold(name: str, gate: ThresholdGate, case: Case) -> GateResult:
    """Met or not met on enough rows; held on too few, and where the figure is missing or no number."""
    found = _figure(gate, case)
    if isinstance(found, str):
        return result_of(name, gate, "hold", f"{found}; held", rows=case.evaluation.rows)
    met = meets(found.value, gate.threshold, gate.direction)
    by_row = gate.metric not in NOT_BY_ROW
    where = f" of {gate.slice.by} {gate.slice.value!r}" if gate.slice else ""
    text = f"{gate.metric} {found.value:.3f}{shown(found.interval)}{f' on {found.rows} rows{where}' if by_row else ''}"
    text += f", {bound(gate.threshold, gate.direction)} is required"
    rows = found.rows if by_row else None
    if by_row and found.rows < gate.min_rows:
        text, more = f"{text}, on {gate.min_rows} rows or more; held", gate.min_rows - found.rows
        return result_of(name, gate, "hold", text, found.value, found.interval, rows, LEVEL, more)
    return result_of(name, gate, "pass" if met else "fail", text, found.value, found.interval, rows, LEVEL)


def meets(value: float, threshold: float, direction: str) -> bool:
    """Whether a figure is on the right side of a bound; the bound itself is."""
    return value >= threshold if direction == "min" else value <= threshold


def bound(threshold: float, direction: str) -> str:
    """Such as `at least 0.8`."""
    return f"{'at least' if direction == 'min' else 'at most'} {threshold:g}"


def _figure(gate: ThresholdGate, case: Case) -> Measured | str:
    """The stored figure with the interval of the rows behind it, or the figure of a slice; or why there is none."""
    kind, stored = case.kind(gate.metric), case.evaluation.tuned.get(gate.metric)
    missing = f"{gate.metric} was not measured or has no meaning for this task"
    if kind is None:
        return missing
    if gate.slice is not None:
        found = case.rows.slices(gate.slice.by)
        if found is None:
            return f"the test rows are not divided by {gate.slice.by}"
        return measure_figure(case.rows.where(gate.slice.by, gate.slice.value), kind, "tuned")
    if stored is None or not is_number(stored):
        return missing
    rows = measure_figure(case.rows, kind, "tuned")
    if isinstance(rows, str):
        # Some figures are one number; and what was evaluated before rows were scored has its figures only.
        return Measured(stored, case.evaluation.rows, None)
    if not math.isclose(rows.value, stored, rel_tol=_CLOSE, abs_tol=_CLOSE):
        return f"{gate.metric} is given as {stored}, and its rows say {rows.value}"
    return Measured(stored, rows.rows, rows.interval)
