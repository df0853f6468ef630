"""Metrics of other packages, by the dotted path of a function. What is named is imported from what is installed; nothing is downloaded."""

import importlib
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pipeline_config.environment import read_secret
from pipeline_config.errors import ConfigError, EvaluationError
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.metric_names import short_name
from tasks.evaluate.json_answers import read_schema
from tasks.evaluate.metric_kinds import Better, custom_metrics
from tasks.files import sha256_file

if TYPE_CHECKING:
    from tasks.rows import Message  # it brings polars, and configurations are checked before anything heavy is imported

_WHERE = "evaluation.metrics"
_SHAPE = "a function (answer: str, expected: str, prompt: Sequence[Message]) -> float"


class RowMetric(Protocol):
    """A metric of one answer, with a figure that is its mean over the rows.

    It has to give the same number for the same texts. More is better, unless the function has an attribute `better` that is `"lower"`, or
    `"neither"` where only a range is good.
    """

    def __call__(self, *, answer: str, expected: str, prompt: Sequence["Message"]) -> float:
        """A finite number.

        Args:
            answer: what the contender answered, as it was generated.
            expected: what is right.
            prompt: the chat before the answer.
        """
        ...


def require_metrics(config: EvaluationConfig) -> None:
    """Checks all that evaluation will need, long before it is needed.

    Raises:
        ConfigError: a custom metric cannot be imported or called, the JSON schema is none, or the judge's key is not set.
    """
    for metric in custom_metrics(config):
        load_metric(metric)
    read_schema(config)
    judge = config.judge
    if judge is not None and judge.api_key_variable is not None and not read_secret(judge.api_key_variable):
        raise ConfigError(
            f"the environment variable {judge.api_key_variable} is not set", where="evaluation.judge.api_key_variable",
            expected="the judge's key in the environment of the process that evaluates",
        )  # fmt: skip


def load_metric(metric: str) -> RowMetric:
    """The function that `package.module:NAME` names.

    Raises:
        ConfigError: it cannot be imported, takes other arguments, or its `better` is unknown.
    """
    module, _, name = metric.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    # A module of somebody else's fails to import in ways of its own.
    except Exception as error:
        raise ConfigError(
            f"no metric {metric!r}: {type(error).__name__}: {error}", where=_WHERE, expected="`package.module:NAME` of what is installed",
            hint="install the package into the environment of the worker, or put its folder on PYTHONPATH",
        ) from error  # fmt: skip
    if not callable(found) or isinstance(found, type):
        raise ConfigError(f"{metric!r} is a {type(found).__name__}", where=_WHERE, expected=_SHAPE)
    try:
        inspect.signature(found).bind(answer="", expected="", prompt=[])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{metric!r} cannot be called: {error}", where=_WHERE, expected=_SHAPE) from error
    if getattr(found, "better", "higher") not in ("higher", "lower", "neither"):
        raise ConfigError(f"{metric!r} has better = {found.better!r}", where=_WHERE, expected="'higher', 'lower' or 'neither'")
    return cast(RowMetric, found)


def better_of(metric: RowMetric) -> Better:
    """Which way is better, as the function says."""
    return cast(Better, getattr(metric, "better", "higher"))


def code_of(metric: str) -> str:
    """Digest of the file that a metric's function is written in: with another one it is measured again. Files that it imports count not."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(cast("type", load_metric(metric))))
    except TypeError:  # written in C, or a callable object
        source = inspect.getsourcefile(importlib.import_module(metric.partition(":")[0]))
    return sha256_file(Path(source)) if source else metric


def score_rows(metric: str, expected: Sequence[str], answers: Sequence[str], prompts: Sequence[Sequence["Message"]]) -> list[float]:
    """The number of each row.

    Raises:
        ConfigError: see :func:`load_metric`.
        EvaluationError: the function raised, or gave something that is no finite number.
    """
    function = load_metric(metric)
    return [
        _score(function, metric, at, answer, wanted, prompt)
        for at, (wanted, answer, prompt) in enumerate(zip(expected, answers, prompts, strict=True))
    ]


def _score(function: RowMetric, metric: str, at: int, answer: str, expected: str, prompt: Sequence["Message"]) -> float:
    where = f"metric {short_name(metric)}, test row {at}"
    try:
        value = function(answer=answer, expected=expected, prompt=prompt)
    # It is not our code: whatever it raises is said with the row, and the stored answers are there for the next attempt.
    except Exception as error:
        raise EvaluationError(
            f"{type(error).__name__}: {error}", where=where, expected="a number for every answer, an empty one too",
            hint=f"mend {metric} and start again: nothing is generated twice",
        ) from error  # fmt: skip
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise EvaluationError(f"got {value!r}", where=where, expected="a finite number")
