"""The gates: data, not code. Each is one entry of the mapping `gates`."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline_config.base import Section

Better = Literal["higher", "lower", "neither"]

KNOWN_METRICS: Mapping[str, Better] = {
    **dict.fromkeys(("accuracy", "macro_f1", "exact_match", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum"), "higher"),
    **dict.fromkeys(("json_valid", "json_schema", "eos_rate", "judge"), "higher"),
    **dict.fromkeys(("perplexity", "latency_ms", "artifact_mib"), "lower"),
    "length_ratio": "neither",
}
"""Metrics that gates may name besides custom ones, and which way is better. Neither: only an absolute gate can judge it."""

ALWAYS_MEASURED = ("accuracy", "judge")
"""Measured whatever `evaluation.metrics` lists; the judge, if there is one."""
NOT_BY_ROW = ("latency_ms", "artifact_mib")
"""Metrics that are not measured on every test row: they have no minimum number of rows, no slices and no comparisons."""

_Metric = Annotated[str, Field(min_length=1, description="a built-in metric, or the NAME of one of `evaluation.metrics`")]
_MinRows = Annotated[int, Field(ge=1, description="fewer rows than this: hold")]


class SliceOf(Section):
    """Some of the test rows: those with this value of a slice."""

    by: str = Field("label", min_length=1, description="name of the slice: label, length, language, source, or a configured column")
    value: str = Field(description="its value")


class ThresholdGate(Section):
    """An absolute bound on the tuned model's own figure, read off the point estimate. Latency and size are judged so, too."""

    kind: Literal["threshold"] = "threshold"
    metric: _Metric = "accuracy"
    threshold: float
    direction: Literal["min", "max"] = Field("min", description="`min`: at least the threshold; `max`: at most")
    slice: SliceOf | None = Field(None, description="judge these test rows only; null: all")
    min_rows: _MinRows = 100

    @model_validator(mode="after")
    def _fits_its_metric(self) -> "ThresholdGate":
        _require_direction(self.metric, self.direction)
        if self.slice is not None and self.metric in NOT_BY_ROW:
            raise ValueError(f"{self.metric} is not measured row by row, so no slice of the rows can be judged by it")
        return self


class _Comparing(Section):
    """What the plan expects of a comparison; the judgement is read off the interval and does not know of it."""

    expected_gain: float | None = Field(
        None, description="for the plan only: by how much you expect the tuned model to be better; null: see docs/guides/gates.md"
    )
    expected_spread: float | None = Field(
        None, gt=0, description="for the plan only: standard deviation of the difference of one row; null: see docs/guides/gates.md"
    )


class ImprovementGate(_Comparing):
    """The tuned model must beat the fairly prompted base by more than the threshold (lower end of the paired interval)."""

    kind: Literal["improvement"]
    metric: _Metric = "accuracy"
    threshold: float = Field(0.0, description="smallest gain over the base, in the metric's unit; for perplexity in nats a token")
    min_rows: _MinRows = 100

    @model_validator(mode="after")
    def _can_compare(self) -> "ImprovementGate":
        _require_comparable(self.metric)
        return self


class NonInferiorityGate(_Comparing):
    """The tuned model must not be worse than the champion by the margin or more (lower end of the paired interval)."""

    kind: Literal["non_inferiority"]
    metric: _Metric = "accuracy"
    threshold: float = Field(0.05, gt=0, description="the margin, in the metric's unit; for perplexity in nats a token")
    min_rows: _MinRows = 100

    @model_validator(mode="after")
    def _can_compare(self) -> "NonInferiorityGate":
        _require_comparable(self.metric)
        return self


class SuperiorityGate(_Comparing):
    """The tuned model must beat the champion by more than the threshold (lower end of the paired interval)."""

    kind: Literal["superiority"]
    metric: _Metric = "accuracy"
    threshold: float = Field(0.0, ge=0, description="smallest gain over the champion, in the metric's unit")
    min_rows: _MinRows = 100

    @model_validator(mode="after")
    def _can_compare(self) -> "SuperiorityGate":
        _require_comparable(self.metric)
        return self


class SlicesGate(Section):
    """Every slice of the test rows must hold for itself. Slices with too few rows are judged together."""

    kind: Literal["slices"]
    by: str = Field("label", min_length=1, description="name of the slice: label, length, language, source, or a configured column")
    metric: _Metric = "accuracy"
    test: Literal["threshold", "non_inferiority"] = Field(
        "threshold", description="`threshold`: an absolute bound; `non_inferiority`: not worse than the champion by the margin (Holm)"
    )
    threshold: float = Field(description="the bound, or the margin")
    thresholds: dict[str, float] = Field({}, description="other bounds or margins, by the slice's value")
    direction: Literal["min", "max"] = Field("min", description="of an absolute bound; `min`: at least the threshold; `max`: at most")
    values: tuple[str, ...] = Field((), description="judge these slices only; empty: all")
    min_rows: int = Field(30, ge=1, description="slices with fewer rows than this are judged together; together still fewer: hold")

    @model_validator(mode="after")
    def _fits_its_metric(self) -> "SlicesGate":
        if self.metric in NOT_BY_ROW:
            raise ValueError(f"{self.metric} is not measured row by row, so no slice of the rows can be judged by it")
        if self.test == "threshold":
            _require_direction(self.metric, self.direction)
            return self
        _require_comparable(self.metric)
        if min(self.threshold, *self.thresholds.values(), self.threshold) <= 0:
            raise ValueError("threshold: a margin has to be above 0")
        return self


class LeakageGate(Section):
    """No test row may stand among the rows that the artifact was trained on."""

    kind: Literal["leakage"]
    threshold: float = Field(0.0, ge=0, lt=1, description="largest share of test rows whose text or group is among the training rows")


class SafetyGate(Section):
    """The tuned model's answers must not hold personal data or secrets that neither prompt nor expected answer holds."""

    kind: Literal["safety"]
    threshold: float = Field(0.0, ge=0, lt=1, description="largest share of answers that hold some")
    min_rows: _MinRows = 100


class OverfittingGate(Section):
    """The checkpoint that would ship must not have run past the best point of its own training."""

    kind: Literal["overfitting"]
    threshold: float = Field(
        1.1, gt=1, description="largest loss of the shipped checkpoint on unseen rows, as a multiple of the smallest that training had"
    )
    max_accuracy_gap: float | None = Field(
        None, gt=0, le=1, description="largest accuracy on training rows minus accuracy on test rows; null: a wide gap is mild"
    )


class ForgettingGate(Section):
    """What the base could do in general, the tuned model must still be able to do: a budget for forgetting.

    Read off the paired interval of the general suite's accuracy, and off the interval of the ratio of perplexities on a general text.
    """

    kind: Literal["forgetting"]
    max_drop: float = Field(0.1, gt=0, lt=1, description="largest loss of accuracy on the general suite, as a share of its questions")
    max_perplexity_ratio: float = Field(1.5, gt=1, description="largest perplexity on general text, as a multiple of the base's")
    min_questions: int = Field(100, ge=1, description="fewer questions of the suite than this: hold")


GateConfig = Annotated[
    ThresholdGate
    | ImprovementGate
    | NonInferiorityGate
    | SuperiorityGate
    | SlicesGate
    | OverfittingGate
    | ForgettingGate
    | LeakageGate
    | SafetyGate,
    Field(discriminator="kind"),
]
PairedGate = ImprovementGate | NonInferiorityGate | SuperiorityGate
"""Gates that compare all rows with another model's."""


def unknown_metrics(gates: Mapping[str, GateConfig], listed: Collection[str] | None) -> list[str]:
    """A sentence for each gate whose metric nobody measures.

    Args:
        listed: names of the metrics that the configuration has measured, custom ones among them; null: those that fit.
    """
    measured = KNOWN_METRICS if listed is None else {*listed, *ALWAYS_MEASURED}
    faults = []
    for name, gate in gates.items():
        metric = getattr(gate, "metric", None)
        if metric is None or metric in measured:
            continue
        close = get_close_matches(metric, measured, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"measured are {', '.join(sorted(measured))}"
        faults.append(f"gates.{name}.metric: {metric!r} is not among evaluation.metrics; {hint}")
    return faults


def _require_direction(metric: str, direction: Literal["min", "max"]) -> None:
    """A bound on the wrong side would open for a worse model."""
    better = KNOWN_METRICS.get(metric)
    if (better, direction) in (("higher", "max"), ("lower", "min")):
        raise ValueError(f"direction: {metric} is better when {better}, so its gate needs `{'min' if better == 'higher' else 'max'}`")


def _require_comparable(metric: str) -> None:
    if metric in NOT_BY_ROW or KNOWN_METRICS.get(metric) == "neither":
        raise ValueError(f"metric: two models cannot be compared by {metric}; use a gate of kind `threshold`")


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
