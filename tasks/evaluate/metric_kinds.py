"""Every metric as data: how it is compared, which way is better, and for which tasks it has a meaning."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.metric_names import is_custom, short_name

Task = Literal["labels", "text", "json"]
"""What answers are: one of a few labels, free text, or JSON objects. Labels may be JSON objects as well."""

Family = Literal["share", "mean", "ratio", "macro_f1", "bleu", "chrf", "median", "point"]
"""What a figure is made from, which settles how it is compared.

    share     mean of a 0 or a 1 a row
    mean      mean of any number a row
    ratio     exp of summed nats over summed tokens (`loss` and `loss_tokens` of each row)
    macro_f1, bleu, chrf    recomputed from all answers, see `tasks.evaluate.corpus_scores`
    median    median of numbers that some rows have; it is compared with nobody's
    point     one number without rows
"""

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class MetricKind:
    """One metric. `better` is `neither` where only a range is good, so that two contenders cannot be ranked by it."""

    name: str
    family: Family
    better: Better
    unit: str
    applies_to: frozenset[Task]

    @property
    def has_rows(self) -> bool:
        """Whether `scores.parquet` has a column of it."""
        return self.family in ("share", "mean", "median") or self.name == "chrf"


_ALL: frozenset[Task] = frozenset({"labels", "text", "json"})
_TEXT: frozenset[Task] = frozenset({"text"})
_JSON: frozenset[Task] = frozenset({"json"})
_WRITTEN = _TEXT | _JSON

METRICS: dict[str, MetricKind] = {
    kind.name: kind
    for kind in (
        MetricKind("accuracy", "share", "higher", "share of rows", _ALL),
        MetricKind("macro_f1", "macro_f1", "higher", "share", frozenset({"labels"})),
        MetricKind("exact_match", "share", "higher", "share of rows", _WRITTEN),
        MetricKind("perplexity", "ratio", "lower", "exp of nats a token", _ALL),
        MetricKind("bleu", "bleu", "higher", "points of 100", _TEXT),
        MetricKind("chrf", "chrf", "higher", "points of 100", _TEXT),
        MetricKind("rouge1", "mean", "higher", "F-measure", _TEXT),
        MetricKind("rouge2", "mean", "higher", "F-measure", _TEXT),
        MetricKind("rougeL", "mean", "higher", "F-measure", _TEXT),
        MetricKind("rougeLsum", "mean", "higher", "F-measure", _TEXT),
        MetricKind("json_valid", "share", "higher", "share of rows", _JSON),
        MetricKind("json_schema", "share", "higher", "share of rows", _JSON),
        MetricKind("eos_rate", "share", "higher", "share of rows", _ALL),
        MetricKind("length_ratio", "mean", "neither", "characters over expected characters", _WRITTEN),
        MetricKind("latency_ms", "median", "lower", "milliseconds an answer", _ALL),
        MetricKind("artifact_mib", "point", "lower", "MiB", _ALL),
        MetricKind("judge", "mean", "higher", "wins against the expected answer, ties half", _ALL),
    )
}
"""By name, in the order in which figures are shown."""


def kind_of(name: str, custom: Mapping[str, Better]) -> MetricKind | None:
    """The kind of a built-in metric, or of a custom one that an evaluation has measured; null if it is neither.

    Args:
        custom: which way is better, by the custom metrics' names (`tasks.artifacts.EvaluationResult.custom`).
    """
    if name in METRICS:
        return METRICS[name]
    return MetricKind(name, "mean", custom[name], "", _ALL) if name in custom else None


def tasks_of(labels: Sequence[str] | None, expected: Sequence[str], *, has_schema: bool) -> frozenset[Task]:
    """What the answers are. Expected answers that are JSON objects one and all make it a task of JSON, as a schema does."""
    json_objects: frozenset[Task] = _JSON if has_schema or (len(expected) > 0 and all(map(_is_json_object, expected))) else frozenset()
    if labels is not None:
        return json_objects | {"labels"}
    return json_objects or _TEXT


def choose_metrics(config: EvaluationConfig, tasks: frozenset[Task]) -> tuple[str, ...]:
    """Names of what is measured: what the configuration lists, or what fits; accuracy always, which the overfitting verdict needs."""
    configured = {"judge": config.judge is not None, "json_schema": config.json_schema is not None}
    if config.metrics is None:
        return tuple(name for name, kind in METRICS.items() if kind.applies_to & tasks and configured.get(name, True))
    always = ["accuracy", *(["judge"] if configured["judge"] else [])]
    return tuple(dict.fromkeys([*always, *map(short_name, config.metrics)]))


def custom_metrics(config: EvaluationConfig) -> tuple[str, ...]:
    """The `package.module:NAME` of each metric of another package."""
    return tuple(metric for metric in config.metrics or () if is_custom(metric))


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
