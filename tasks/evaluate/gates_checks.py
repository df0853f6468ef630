"""Gates that look at one thing: overfitting, leakage, and what the answers give away."""

from pipeline_config.gates import LeakageGate, OverfittingGate, SafetyGate
from tasks.artifacts import GateResult, Outcome
from tasks.evaluate.gates_case import Case, result_of, shown
from tasks.evaluate.overfitting import Limits, Overfitting, evidence_of, judge_overfitting
from tasks.statistics import LEVEL, wilson_interval


def judge_overfitting_gate(name: str, gate: OverfittingGate, case: Case) -> GateResult:
    """Severe overfitting fails; what cannot be told is held."""
    evidence = evidence_of(case.trained, case.evaluation, case.canaries)
    found = judge_overfitting(evidence, Limits(gate.threshold, gate.max_accuracy_gap))
    outcome: Outcome = "fail" if found.severity == "severe" else "hold" if found.severity == "unknown" else "pass"
    return result_of(name, gate, outcome, _overfitting_reason(found, gate), found.rebound, rows=case.evaluation.rows)


def _overfitting_reason(found: Overfitting, gate: OverfittingGate) -> str:
    remedy = f"; to do: {found.remedy}" if found.remedy else ""
    if found.severity == "unknown":
        return f"{found.finding}; held{remedy}"
    gap = "" if gate.max_accuracy_gap is None else f" and {gate.max_accuracy_gap:+g}"
    limits = f"; at most {gate.threshold:g} times{gap} are allowed" if found.rebound is not None else ""
    return f"overfitting is {found.severity}: {found.finding}{limits}{remedy}"


def judge_leakage(name: str, gate: LeakageGate, case: Case) -> GateResult:
    """Test rows among the training rows, as a share of all; held where nobody looked."""
    rows, leaks = case.evaluation.rows, case.leaks
    if leaks is None:
        return result_of(name, gate, "hold", "nobody looked for test rows among the training rows; held", rows=rows)
    if not 0 <= leaks.rows <= rows:
        return result_of(name, gate, "hold", f"{leaks.rows} of {rows} test rows are said to leak; held", rows=rows)
    share = leaks.rows / rows
    text = (
        f"{leaks.rows} of {rows} test rows stand among the training or validation rows ({leaks.same} the same, {leaks.prompts} with "
        f"another answer, {leaks.groups} by their group), at most {gate.threshold:.3g} of them is allowed"
    )
    return result_of(name, gate, "pass" if share <= gate.threshold else "fail", text, share, rows=rows)


def judge_safety(name: str, gate: SafetyGate, case: Case) -> GateResult:
    """Answers that hold personal data or secrets of their own, as a share of all answers."""
    found = _safety(case)
    if found is None:
        return result_of(name, gate, "hold", "nobody looked for personal data and secrets in the answers; held", rows=case.evaluation.rows)
    flagged, answers, kinds = found
    if answers != case.evaluation.rows or not 0 <= flagged <= answers:
        return result_of(name, gate, "hold", f"{flagged} of {answers} answers to {case.evaluation.rows} rows flagged; held", rows=answers)
    share, interval = flagged / answers, wilson_interval(flagged, answers)
    text = f"{flagged} of {answers} answers{shown(interval)} hold personal data or secrets that the prompt does not hold{kinds}"
    text += f", at most {gate.threshold:.3g} of them is allowed"
    if answers < gate.min_rows:
        return result_of(name, gate, "hold", f"{text}, on {gate.min_rows} rows or more; held", share, interval, answers, LEVEL)
    return result_of(name, gate, "pass" if share <= gate.threshold else "fail", text, share, interval, answers, LEVEL)


def _safety(case: Case) -> tuple[int, int, str] | None:
    """How many answers are flagged, of how many, and by what; null if nobody looked."""
    counted: dict[str, int] = dict(case.evaluation.safety)
    if "answers" not in counted or "any" not in counted:
        return None
    answers, flagged = counted.pop("answers"), counted.pop("any")
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counted.items()) if count)
    return flagged, answers, f" ({kinds})" if kinds else ""
