"""Figures as Hugging Face metrics that need no hub. Importing this module is slow; import it where figures are computed."""

import math
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import evaluate
from sklearn.metrics import f1_score

from pipeline_config.errors import EvaluationError
from tasks.artifacts import Figures
from tasks.evaluate.outcomes import per_row_correct


def _text_pairs(description: str) -> evaluate.MetricInfo:
    text = datasets.Value("string")
    features = datasets.Features({"predictions": text, "references": text})
    return evaluate.MetricInfo(description=description, citation="", inputs_description="", features=features)


class Accuracy(evaluate.Metric):
    """Share of answers that are exactly the expected one; see :func:`tasks.evaluate.outcomes.per_row_correct`."""

    def _info(self) -> evaluate.MetricInfo:
        return _text_pairs("Exact match of the stripped whole answer, case-sensitive")

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        correct = per_row_correct(references, predictions)
        return {"accuracy": sum(correct) / len(correct)}


class MacroF1(evaluate.Metric):
    """F1 of each label that occurs in the references, averaged with equal weights; any other answer is a miss."""

    def _info(self) -> evaluate.MetricInfo:
        return _text_pairs("Macro-averaged F1 over the labels of the references")

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        wanted, given = [text.strip() for text in references], [text.strip() for text in predictions]
        score = f1_score(wanted, given, labels=sorted(set(wanted)), average="macro", zero_division=0.0)
        return {"macro_f1": float(score)}


def measure_answers(expected: Sequence[str], answers: Sequence[str], *, labelled: bool, mean_loss: float | None, scratch: Path) -> Figures:
    """All figures of one contender.

    Args:
        labelled: whether answers are labels; macro-F1 has no meaning otherwise.
        mean_loss: nats per answer token; null if it was not measured.
        scratch: existing folder for the metrics' own files.

    Raises:
        EvaluationError: no rows, a missing answer, or another number of answers than rows.
    """
    _require_answers(expected, answers)
    macro_f1 = _compute(MacroF1, expected, answers, scratch)["macro_f1"] if labelled else None
    accuracy = _compute(Accuracy, expected, answers, scratch)["accuracy"]
    return Figures(values={"accuracy": accuracy, "macro_f1": macro_f1, "perplexity": perplexity_of(mean_loss)})


def perplexity_of(mean_loss: float | None) -> float | None:
    """exp of a mean loss in nats; null where that is not a finite number."""
    if mean_loss is None or not math.isfinite(mean_loss):
        return None
    try:
        return math.exp(mean_loss)
    except OverflowError:
        return None


def _compute(metric: type[evaluate.Metric], expected: Sequence[str], answers: Sequence[str], scratch: Path) -> dict[str, float]:
    # Without these arguments the library makes folders under the home, and two runs at once meet in the same file.
    computing: Any = metric(keep_in_memory=True, cache_dir=str(scratch), experiment_id=uuid.uuid4().hex)
    return dict(computing.compute(predictions=list(answers), references=list(expected)))


def _require_answers(expected: Sequence[str], answers: Sequence[str]) -> None:
    """The library passes an empty list on, and turns None into text."""
    if not expected or len(expected) != len(answers):
        raise EvaluationError(f"got {len(answers)} answers to {len(expected)} rows", where="metrics", expected="as many, at least one")
    for at, text in enumerate([*expected, *answers]):
        if not isinstance(text, str):
            raise EvaluationError(f"got {text!r}", where=f"row {at % len(expected)}", expected="a text as expectation and as answer")
