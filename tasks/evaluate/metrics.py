"""Figures as Hugging Face metrics that need no hub. Importing this module is slow; import it where figures are computed.

Each metric gives its figures by their names and, under `rows`, the numbers of single rows that they are made from. The formulas are those
of the libraries: scikit-learn for F1, sacrebleu for BLEU and chrF, rouge_score for ROUGE, jsonschema for schemas.
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import evaluate
from sklearn.metrics import f1_score

from pipeline_config.errors import EvaluationError
from tasks.evaluate.json_answers import conforms, is_json
from tasks.evaluate.outcomes import per_row_correct
from tasks.evaluate.perplexity import perplexity_of

Outputs = dict[str, Any]
Rows = list[float | None]

_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Accuracy(evaluate.Metric):
    """Share of answers that are exactly the expected one; see :func:`tasks.evaluate.outcomes.per_row_correct`."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Exact match of the stripped whole answer, case-sensitive", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        return _mean_of("accuracy", [float(right) for right in per_row_correct(references, predictions)])


class ExactMatch(evaluate.Metric):
    """As :class:`Accuracy`, under the name that is usual where answers are no labels."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Exact match of the stripped whole answer, case-sensitive", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        return _mean_of("exact_match", [float(right) for right in per_row_correct(references, predictions)])


class MacroF1(evaluate.Metric):
    """F1 of each label that occurs in the references, averaged with equal weights; any other answer is a miss."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Macro-averaged F1 over the labels of the references", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        wanted, given = [text.strip() for text in references], [text.strip() for text in predictions]
        score = f1_score(wanted, given, labels=sorted(set(wanted)), average="macro", zero_division=0.0)
        return {"macro_f1": float(score), "rows": {}}


class Bleu(evaluate.Metric):
    """Corpus BLEU of sacrebleu as it is by default, 0 to 100 (Papineni et al. 2002; Post 2018); `signature` says how it was computed."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Corpus BLEU by sacrebleu", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        from sacrebleu.metrics import BLEU

        metric = BLEU()
        score = float(metric.corpus_score(predictions, [references]).score)
        return {"bleu": score, "rows": {}, "signature": str(metric.get_signature())}


class Chrf(evaluate.Metric):
    """Corpus chrF2 of sacrebleu, 0 to 100 (Popović 2015), and the chrF2 of each row, of which the corpus's is not the mean."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Corpus chrF by sacrebleu", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        from sacrebleu.metrics import CHRF

        metric = CHRF()
        score = float(metric.corpus_score(predictions, [references]).score)
        rows = [float(metric.sentence_score(answer, [wanted]).score) for wanted, answer in zip(references, predictions, strict=True)]
        return {"chrf": score, "rows": {"chrf": rows}, "signature": str(metric.get_signature())}


class Rouge(evaluate.Metric):
    """Mean over rows of rouge_score's F-measures without stemming (Lin 2004). Its tokens are runs of `a-z0-9` after lower-casing."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("ROUGE-1, -2, -L and -Lsum by rouge_score", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(list(_ROUGE), use_stemmer=False)
        scores = [scorer.score(wanted, answer) for wanted, answer in zip(references, predictions, strict=True)]
        rows = {name: [float(score[name].fmeasure) for score in scores] for name in _ROUGE}
        return {**{name: _mean(values) for name, values in rows.items()}, "rows": rows}


class JsonValidity(evaluate.Metric):
    """Share of answers that are JSON, and nothing but JSON."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Share of answers that parse as JSON", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        return _mean_of("json_valid", [float(is_json(answer)) for answer in predictions])


class SchemaMatch(evaluate.Metric):
    """Share of answers that are JSON and conform to a JSON schema."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Share of answers that conform to a JSON schema", "string", "string")

    def _compute(self, predictions: list[str], references: list[str], schema: Mapping[str, Any]) -> Outputs:
        return _mean_of("json_schema", [float(right) for right in conforms(predictions, schema)])


class StopsByItself(evaluate.Metric):
    """Share of answers that the model ended itself, before the limit of tokens. Predictions say whether it did; references are ignored."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Share of answers that end with the end-of-turn token", "bool", "bool")

    def _compute(self, predictions: list[bool], references: list[bool]) -> Outputs:
        return _mean_of("eos_rate", [float(stopped) for stopped in predictions])


class LengthRatio(evaluate.Metric):
    """Mean of characters answered over characters expected, outer white space left out; rows that expect nothing have none."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Mean of the length of answers over the expected length", "string", "string")

    def _compute(self, predictions: list[str], references: list[str]) -> Outputs:
        lengths = [(len(answer.strip()), len(wanted.strip())) for wanted, answer in zip(references, predictions, strict=True)]
        return _mean_of("length_ratio", [got / wanted if wanted else None for got, wanted in lengths])


class Perplexity(evaluate.Metric):
    """exp of the nats of all expected tokens over their number. Predictions are the nats of each row, references its tokens."""

    def _info(self) -> evaluate.MetricInfo:
        return _described("Token-weighted perplexity of the expected answers", "float64", "int64")

    def _compute(self, predictions: list[float], references: list[int]) -> Outputs:
        tokens = sum(references)
        return {"perplexity": perplexity_of(sum(predictions) / tokens if tokens else None), "rows": {}}


TEXT_METRICS: tuple[tuple[type[evaluate.Metric], tuple[str, ...]], ...] = (
    (Accuracy, ("accuracy",)),
    (ExactMatch, ("exact_match",)),
    (Bleu, ("bleu",)),
    (Chrf, ("chrf",)),
    (Rouge, _ROUGE),
    (JsonValidity, ("json_valid",)),
    (LengthRatio, ("length_ratio",)),
)
"""What needs nothing but answers and expected answers, and the figures that it gives."""


def compute(
    metric: type[evaluate.Metric], predictions: Sequence[Any], references: Sequence[Any], scratch: Path, **settings: Any
) -> Outputs:
    """What a metric makes of some rows.

    Args:
        scratch: existing folder for the library's own files.

    Raises:
        EvaluationError: no rows, a missing value, or not as many predictions as references.
    """
    _require_rows(predictions, references)
    # Without these arguments the library makes folders under the home, and two runs at once meet in the same file.
    computing: Any = metric(keep_in_memory=True, cache_dir=str(scratch), experiment_id=uuid.uuid4().hex)
    return dict(computing.compute(predictions=list(predictions), references=list(references), **settings))


def _require_rows(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """The library passes an empty list on, and turns None into text."""
    if not references or len(references) != len(predictions):
        what = f"got {len(predictions)} answers to {len(references)} rows"
        raise EvaluationError(what, where="metrics", expected="as many, at least one")
    kind = type(references[0])
    for at, value in enumerate([*references, *predictions]):
        if value is None or isinstance(value, str) != issubclass(kind, str):
            raise EvaluationError(f"got {value!r}", where=f"row {at % len(references)}", expected="a text as expectation and as answer")


def _described(description: str, prediction: str, reference: str) -> evaluate.MetricInfo:
    features = datasets.Features({"predictions": datasets.Value(prediction), "references": datasets.Value(reference)})
    return evaluate.MetricInfo(description=description, citation="", inputs_description="", features=features)


def _mean_of(name: str, rows: Rows) -> Outputs:
    return {name: _mean(rows), "rows": {name: rows}}


def _mean(rows: Sequence[float | None]) -> float | None:
    known = [value for value in rows if value is not None]
    return sum(known) / len(known) if known else None
