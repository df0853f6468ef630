"""Before training: how many rows each comparison needs, under assumptions that are said, and whether the test set has them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline_config.base import Section
from pipeline_config.gates import GateConfig, ImprovementGate, NonInferiorityGate, PairedGate, SuperiorityGate
from tasks.statistics import rows_for_power

POWER = 0.8
DISAGREEMENT = 0.1
"""Share of rows on which two models are expected to differ beyond what the expected gain makes them."""
_GAINS: Mapping[type[Section], float] = {
    ImprovementGate: 0.1,
    NonInferiorityGate: 0.0,
    SuperiorityGate: 0.03,
}
"""Expected gain over the gate's bound (over the champion for non-inferiority) in shares of rows."""
_SHARES = frozenset({"accuracy", "exact_match", "json_valid", "json_schema", "eos_rate"})
_OF_100 = frozenset({"bleu", "chrf"})


@dataclass(frozen=True)
class Planned:
    """What one comparison needs. `rows` is null where no number of rows is enough for what is expected."""

    gate: str
    rows: int | None
    there: int
    assumption: str

    @property
    def short(self) -> bool:
        """Whether the test set is too small for it."""
        return self.rows is None or self.there < self.rows

    def sentence(self) -> str:
        """For logs and summaries."""
        if self.rows is None:
            return f"{self.gate}: no number of rows is enough, {self.assumption}"
        verdict = "which is too few" if self.short else "which is enough"
        return f"{self.gate}: {self.rows} rows for {POWER:.0%} power, {self.assumption}; there are {self.there}, {verdict}"


def plan(gates: Mapping[str, GateConfig], test_rows: int) -> list[Planned]:
    """One entry for each gate that compares all rows, in the order of their names. Nothing is known of the champion's training rows yet."""
    paired = {name: gate for name, gate in sorted(gates.items()) if isinstance(gate, PairedGate)}
    return [_plan(name, gate, test_rows) for name, gate in paired.items()]


def shortfalls(gates: Mapping[str, GateConfig], test_rows: int) -> list[str]:
    """A warning for each comparison that the test set is too small for."""
    return [planned.sentence() for planned in plan(gates, test_rows) if planned.short]


def _plan(name: str, gate: ImprovementGate | NonInferiorityGate | SuperiorityGate, there: int) -> Planned:
    share, unit = gate.metric in _SHARES, 100.0 if gate.metric in _OF_100 else 1.0
    bound = -gate.threshold if isinstance(gate, NonInferiorityGate) else gate.threshold
    above = 0.0 if isinstance(gate, NonInferiorityGate) else gate.threshold
    gain = gate.expected_gain if gate.expected_gain is not None else above + _GAINS[type(gate)] * unit
    spread, at_bound = _spread(gate, gain, bound, share=share, unit=unit)
    rows = rows_for_power(gain, bound, spread, spread_at_bound=at_bound, power=POWER) if gain > bound else None
    differing = f"{spread**2 + gain**2:.0%} of the rows differing" if share else f"a spread of {spread:g} from row to row"
    return Planned(name, max(rows, gate.min_rows) if rows is not None else None, there, f"if the true gain is {gain:+.3g} with {differing}")


def _spread(
    gate: ImprovementGate | NonInferiorityGate | SuperiorityGate, gain: float, bound: float, *, share: bool, unit: float
) -> tuple[float, float]:
    """Standard deviation of the difference of one row, if the true difference is the gain and if it is the bound."""
    if gate.expected_spread is not None:
        return gate.expected_spread, gate.expected_spread
    if not share:
        return math.sqrt(DISAGREEMENT) * unit, math.sqrt(DISAGREEMENT) * unit
    differing = DISAGREEMENT + (abs(gain) if isinstance(gate, ImprovementGate) else 0.0)
    return math.sqrt(max(differing - gain**2, 0.0)), math.sqrt(max(differing - bound**2, 0.0))
