"""Geometry of the gates: for each a line of numbers with the bound, the side of it that passes, the interval and the point."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.artifacts import GateResult, Outcome, SliceResult
from tasks.report.figures import interval_text, is_difference, metric_name, value_text

Side = Literal["above", "below"]

_MARGIN = 0.14
"""Room left and right of everything that is drawn, as a share of its span."""
_NARROWEST = 1e-9
_SHARES = ("accuracy", "macro_f1", "exact_match", "json_valid", "json_schema", "eos_rate")

_KINDS = {
    "threshold": "absolute", "improvement": "against the base", "superiority": "better than the champion",
    "non_inferiority": "not worse than the champion", "overfitting": "overfitting", "forgetting": "forgetting", "slices": "slices",
    "leakage": "leakage", "safety": "safety", "latency": "latency", "size": "size", "canaries": "canaries",
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """From `start` on, `width` wide, in percent of the plot."""

    start: float
    width: float


@dataclass(frozen=True)
class GatePlot:
    """Places in percent of the plot's width, and the numbers at its ends and at the bound.

    `bound_anchor` is SVG's `text-anchor` of the bound's number, which stays inside the plot.
    """

    allowed: Span
    bound: float
    bound_text: str
    bound_anchor: Literal["start", "middle", "end"]
    interval: Span | None
    point: float
    low: str
    high: str
    described: str


@dataclass(frozen=True)
class DrawnGate:
    """One gate, or one slice that it judged, as the page shows it; `plot` is null where there is no value to draw."""

    name: str
    kind: str
    outcome: Outcome
    reason: str
    metric: str
    value: str
    interval: str
    rows: int | None
    plot: GatePlot | None
    slices: tuple["DrawnGate", ...] = ()


def drawn_gates(gates: tuple[GateResult, ...], configured: Mapping[str, Any]) -> list[DrawnGate]:
    """All gates: first those that failed or hold, then the others, each in the order of the report.

    Args:
        configured: the gates of the configuration by name, which say on which side of an absolute bound a figure has to be.
    """
    order = ("fail", "hold", "pass", "not_applicable")
    return [_drawn(gate, configured.get(gate.name)) for gate in sorted(gates, key=lambda gate: order.index(gate.outcome))]


def bound_of(gate: GateResult, configured: Any) -> tuple[float, Side]:
    """Where a gate opens, and on which side of it."""
    if gate.kind == "non_inferiority" or getattr(configured, "test", None) == "non_inferiority":
        return -gate.threshold, "above"
    if is_difference(gate, configured):
        return gate.threshold, "above"
    if gate.kind in ("threshold", "slices"):
        return gate.threshold, "below" if getattr(configured, "direction", "min") == "max" else "above"
    return gate.threshold, "below"


def _drawn(gate: GateResult, configured: Any) -> DrawnGate:
    signed = is_difference(gate, configured)
    parts = [_as_gate(gate, part) for part in gate.slices]
    return DrawnGate(
        name=gate.name,
        kind=_KINDS.get(gate.kind, gate.kind.replace("_", " ")),
        outcome=gate.outcome,
        reason=gate.reason,
        metric=metric_name(gate.metric) if gate.metric else "",
        value=value_text(gate.value, signed=signed),
        interval=interval_text(gate.interval, signed=signed),
        rows=gate.rows,
        plot=_plot(gate, configured),
        slices=tuple(drawn_gates(tuple(parts), {part.name: configured for part in parts})) if parts else (),
    )


def _as_gate(gate: GateResult, part: SliceResult) -> GateResult:
    """A slice that a gate judged, as if it were a gate of its own."""
    judged = part.model_dump(exclude={"slice"})
    return GateResult(name=part.slice, kind=gate.kind, metric=gate.metric, reason=gate.reason, **judged)


def _plot(gate: GateResult, configured: Any) -> GatePlot | None:
    if gate.value is None:
        return None
    signed, (bound, side) = is_difference(gate, configured), bound_of(gate, configured)
    low, high = _domain([gate.value, bound, *(gate.interval or ())], signed=signed, share=gate.metric in _SHARES and not signed)

    def place(value: float) -> float:
        return min(100.0, 100 * (min(max(value, low), high) - low) / (high - low))

    at = place(bound)
    interval = Span(place(gate.interval[0]), place(gate.interval[1]) - place(gate.interval[0])) if gate.interval else None
    words = f" with interval {interval_text(gate.interval, signed=signed)}" if gate.interval else ""
    return GatePlot(
        allowed=Span(at, 100 - at) if side == "above" else Span(0, at),
        bound=at,
        bound_text=f"{_sign(side, signed=signed)} {value_text(bound, signed=signed)}",
        bound_anchor="start" if at < 20 else "end" if at > 80 else "middle",
        interval=interval,
        point=place(gate.value),
        low=value_text(low, signed=signed),
        high=value_text(high, signed=signed),
        described=f"{value_text(gate.value, signed=signed)}{words}; has to be {side} {value_text(bound, signed=signed)}",
    )


def _sign(side: Side, *, signed: bool) -> str:
    """Comparisons have to be beyond their bound, figures may be on it."""
    return "≤" if side == "below" else ">" if signed else "≥"


def _domain(values: list[float], *, signed: bool, share: bool) -> tuple[float, float]:
    """What the line of numbers spans: everything drawn, with a margin. Where nothing below 0 means anything it ends there, shares at 1."""
    least, most = min(values), max(values)
    room = _MARGIN * (most - least) if most - least > _NARROWEST else max(abs(most) * _MARGIN, 0.01)
    low, high = least - room, most + room
    if not signed and least >= 0:
        low = max(low, 0.0)
    return low, min(high, 1.0) if share and low < 1.0 else high
