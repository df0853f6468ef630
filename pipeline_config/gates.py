"""The gates: data, not code. Each is one entry of the mapping `gates`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline_config.base import Section

Metric = Literal["accuracy", "macro_f1", "perplexity"]


class ThresholdGate(Section):
    """An absolute bound on the tuned model's own figure, read off the point estimate."""

    kind: Literal["threshold"] = "threshold"
    metric: Metric = "accuracy"
    threshold: float
    direction: Literal["min", "max"] = Field("min", description="`min`: at least the threshold; `max`: at most")
    min_rows: int = Field(100, ge=1, description="fewer test rows than this: hold")


class ImprovementGate(Section):
    """The tuned model must beat the fairly prompted base by more than the threshold (lower end of the paired interval)."""

    kind: Literal["improvement"]
    metric: Literal["accuracy"] = "accuracy"
    threshold: float = Field(0.0, ge=-1, le=1, description="smallest gain over the base, as a share of rows")
    min_rows: int = Field(100, ge=1, description="fewer test rows than this: hold")


class NonInferiorityGate(Section):
    """The tuned model must not be worse than the champion by the margin or more (lower end of the paired interval)."""

    kind: Literal["non_inferiority"]
    metric: Literal["accuracy"] = "accuracy"
    threshold: float = Field(0.05, gt=0, lt=1, description="the margin, as a share of rows")
    min_rows: int = Field(100, ge=1, description="fewer comparable rows than this: hold")


class OverfittingGate(Section):
    """The checkpoint that would ship must not have run past the best point of its own validation curve."""

    kind: Literal["overfitting"]
    threshold: float = Field(
        1.2, gt=1, description="largest validation loss of the shipped checkpoint, as a multiple of the curve's minimum"
    )
    max_accuracy_gap: float = Field(0.3, gt=0, le=1, description="largest accuracy on training rows minus accuracy on test rows")


GateConfig = Annotated[ThresholdGate | ImprovementGate | NonInferiorityGate | OverfittingGate, Field(discriminator="kind")]


def expand_short_form(gates: dict[str, Any], inherited: dict[str, Any]) -> dict[str, Any]:
    """Gives every bare number its meaning: the threshold of the gate of that name.

    Args:
        gates: the entries of one configuration layer; null removes a gate.
        inherited: the entries of the layers below it.
    """
    result = dict(inherited)
    for name, entry in gates.items():
        if entry is None:
            result.pop(name, None)
            continue
        below = result.get(name, {})
        change = entry if isinstance(entry, dict) else {"threshold": entry}
        merged = {**(below if isinstance(below, dict) else {}), **change}
        merged.setdefault("kind", "threshold")
        result[name] = merged
    return result
