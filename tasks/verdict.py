"""What gate results amount to. The one rule that judging and promotion share."""

from collections.abc import Iterable

from tasks.artifacts import GateResult, Verdict


def verdict_of(gates: Iterable[GateResult]) -> Verdict:
    """Fail if a gate failed; pass if none held and at least one threshold gate and the overfitting gate passed; else hold."""
    results = list(gates)
    outcomes = {gate.outcome for gate in results}
    if "fail" in outcomes:
        return "fail"
    passed = {gate.kind for gate in results if gate.outcome == "pass"}
    return "pass" if "hold" not in outcomes and {"threshold", "overfitting"} <= passed else "hold"
