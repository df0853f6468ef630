"""What a plain text classifier reaches on the same rows: TF-IDF of words and characters with logistic regression."""

from collections.abc import Sequence
from pathlib import Path

from tasks.artifacts import Figures
from tasks.evaluate.sheets import Scheme, Sheet, measure_sheet
from tasks.rows import Row, answer_of, prompt_of

_REGULARISATION = 10.0
"""Inverse strength `C`: TF-IDF rows have length one, for which scikit-learn's default of 1 is too strong with few rows a class."""
_SEED = 0


def tfidf_figures(train: Sequence[Row], test: Sequence[Row], *, labelled: bool, scratch: Path) -> Figures:
    """Trains on the training rows and answers the test rows; all null where answers are not labels, or there is one label only."""
    wanted = [answer_of(row) for row in train]
    if not labelled or len(set(wanted)) < 2:
        return Figures()
    answers = _classify([_text(row) for row in train], wanted, [_text(row) for row in test])
    sheet = Sheet([answer_of(row) for row in test], answers)
    return measure_sheet(sheet, Scheme(("accuracy", "macro_f1"), labelled=True), scratch).figures


def _text(row: Row) -> str:
    """The last turn before the answer: the instruction before it is the same for all rows."""
    return prompt_of(row)[-1]["content"]


def _classify(texts: list[str], labels: list[str], asked: list[str]) -> list[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    classifier = make_pipeline(features, LogisticRegression(C=_REGULARISATION, max_iter=1000, random_state=_SEED))
    return [str(label) for label in classifier.fit(texts, labels).predict(asked)]
