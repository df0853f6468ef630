"""The metrics that evaluation knows by name. What each means and how it is compared stands in `tasks.evaluate.metric_kinds`."""

import difflib
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

BuiltInMetric = Literal[
    "accuracy", "macro_f1", "exact_match", "perplexity", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum", "json_valid",
    "json_schema", "eos_rate", "length_ratio", "latency_ms", "artifact_mib", "judge",
]  # fmt: skip
METRIC_NAMES: tuple[str, ...] = get_args(BuiltInMetric)

_CUSTOM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_custom(metric: str) -> bool:
    """Whether this is the `package.module:NAME` of a function of another package."""
    return _CUSTOM.fullmatch(metric) is not None


def short_name(metric: str) -> str:
    """The name under which figures and gates know a metric: of a custom one the part behind the colon."""
    return metric.rpartition(":")[2]


def _metric(value: Any) -> Any:
    if value in METRIC_NAMES or (isinstance(value, str) and is_custom(value)):
        return value
    close = difflib.get_close_matches(str(value), METRIC_NAMES, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise ValueError(f"expected one of {', '.join(METRIC_NAMES)}, or `package.module:NAME` for a function of another package{hint}")


Metric = Annotated[str, BeforeValidator(_metric)]
"""A built-in metric, or `package.module:NAME`."""
