"""Names of metrics, and how their values are written, the same on the page, in the card and under the pictures."""

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.artifacts import EvaluationResult, GateResult
from tasks.statistics import LEVEL

_NAMES = {
    "accuracy": "Accuracy", "macro_f1": "Macro-F1", "perplexity": "Perplexity", "exact_match": "Exact match", "bleu": "BLEU",
    "chrf": "chrF", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum", "json_valid": "Valid JSON",
    "json_schema": "JSON fits its schema", "eos_rate": "Stops by itself", "length_ratio": "Length ratio", "latency_ms": "Latency, ms",
    "artifact_mib": "Artifact, MiB", "judge": "LLM as judge", "validation_loss_rebound": "Validation loss over its minimum",
    "retention_accuracy": "Accuracy on general questions, against the base",
    "retention_perplexity_ratio": "Perplexity on general text over the base's",
}  # fmt: skip

CONTENDER_NAMES = {"base": "Base", "tuned": "Tuned", "champion": "Champion", "tfidf": "TF-IDF"}
"""In the order of the columns."""

_COMPARING = ("improvement", "superiority", "non_inferiority")
"""Kinds of gates whose value is a difference of two contenders."""


def metric_name(metric: str) -> str:
    """A metric's name for people; of one that is not known here, the name that it has."""
    return _NAMES.get(metric, metric)


def value_text(value: float | None, *, signed: bool = False) -> str:
    """Three decimals, fewer of what is large; a dash where there is none."""
    if value is None:
        return "–"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 10_000 else 0
    return f"{value:{'+' if signed else ''},.{digits}f}"


def interval_text(interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """`[0.814, 0.884]`; empty where there is none."""
    return "" if interval is None else f"[{', '.join(value_text(end, signed=signed) for end in interval)}]"


def is_difference(gate: GateResult, configured: Any = None) -> bool:
    """Whether a gate's value is a difference of two contenders, of which zero means that they are equal.

    Args:
        configured: the gate as the configuration has it; null if it is not known there.
    """
    compared = gate.kind in _COMPARING or gate.metric == "retention_accuracy"
    return compared or getattr(configured, "test", None) == "non_inferiority"


def confidence_of(gates: Iterable[GateResult]) -> str:
    """Of the intervals of some gates: `95 %`, or what their own levels say."""
    levels = sorted({gate.level or LEVEL for gate in gates if gate.interval is not None}) or [LEVEL]
    return " or ".join(f"{100 * (1 - 2 * level):g} %" for level in levels)


def figures_of(evaluated: EvaluationResult) -> dict[str, Mapping[str, float | None]]:
    """Each contender's figures by its name; those without any are left out."""
    every = {"base": evaluated.base, "tuned": evaluated.tuned, "champion": evaluated.champion, "tfidf": evaluated.tfidf}
    found = {name: figures.values for name, figures in every.items() if figures is not None}
    return {name: values for name, values in found.items() if any(value is not None for value in values.values())}


def metrics_of(evaluated: EvaluationResult) -> list[str]:
    """The metrics that any contender has a figure of, known ones first."""
    found = {name for values in figures_of(evaluated).values() for name, value in values.items() if value is not None}
    return [name for name in _NAMES if name in found] + sorted(found - set(_NAMES))
