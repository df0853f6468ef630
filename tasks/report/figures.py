"""Names of metrics, and how their values are written, the same on the page, in the card and under the pictures."""

from collections.abc import Mapping

from tasks.artifacts import EvaluationResult

_NAMES = {
    "accuracy": "Accuracy", "macro_f1": "Macro-F1", "perplexity": "Perplexity", "exact_match": "Exact match", "bleu": "BLEU",
    "chrf": "chrF", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum", "json_valid": "Valid JSON",
    "json_schema": "JSON fits its schema", "eos_rate": "Stops by itself", "length_ratio": "Length ratio", "latency_ms": "Latency, ms",
    "artifact_mib": "Artifact, MiB", "judge": "LLM as judge", "validation_loss_rebound": "Validation loss over its minimum",
}  # fmt: skip

CONTENDER_NAMES = {"base": "Base", "tuned": "Tuned", "champion": "Champion", "tfidf": "TF-IDF"}
"""In the order of the columns."""

DIFFERENCES = ("improvement", "superiority", "non_inferiority")
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


def figures_of(evaluated: EvaluationResult) -> dict[str, Mapping[str, float | None]]:
    """Each contender's figures by its name; those without any are left out."""
    every = {"base": evaluated.base, "tuned": evaluated.tuned, "champion": evaluated.champion, "tfidf": evaluated.tfidf}
    found = {name: figures.values for name, figures in every.items() if figures is not None}
    return {name: values for name, values in found.items() if any(value is not None for value in values.values())}


def metrics_of(evaluated: EvaluationResult) -> list[str]:
    """The metrics that any contender has a figure of, known ones first."""
    found = {name for values in figures_of(evaluated).values() for name, value in values.items() if value is not None}
    return [name for name in _NAMES if name in found] + sorted(found - set(_NAMES))
