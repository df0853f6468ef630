"""What the other words of a row say of its answer."""

import numpy as np
import polars as pl
import pytest

from tasks.data.bayes import WordModel
from tasks.data.phrases import words_of

NONE = np.empty(0, dtype=np.int64)
TEXTS = ["paper jam printer", "printer toner paper", "toner jam printer", "vpn tunnel drops", "tunnel vpn client", "client drops vpn"]
CLASSES = np.array([0, 0, 0, 1, 1, 1])


def model(texts: list[str], classes: np.ndarray) -> WordModel:
    return WordModel(words_of(pl.Series(texts)), classes)


def test_a_row_among_its_like_does_not_contradict_its_class_and_a_stranger_does() -> None:
    evidence = model([*TEXTS, "paper jam toner"], np.append(CLASSES, 1)).contradictions(np.arange(7), NONE)
    assert (evidence[:6] < 0).all()
    assert evidence[6] > 0


def test_a_row_is_judged_by_the_others_only() -> None:
    """Its own word would speak for its class if it were counted."""
    judged = model([*TEXTS, "coffee coffee", "coffee"], np.append(CLASSES, [1, 0]))
    assert judged.contradictions(np.array([6]), NONE)[0] > 0


def test_words_that_are_left_out_say_nothing() -> None:
    texts, classes = [*TEXTS, "paper jam vpn"], np.append(CLASSES, 1)
    words = words_of(pl.Series(texts))
    judged = WordModel(words, classes)
    shared = judged.shared(np.arange(7), 0.0)
    with_all, without = (judged.contradictions(np.array([6]), left)[0] for left in (NONE, shared))
    assert with_all > 0
    assert without == pytest.approx(0)


def test_the_words_shared_are_those_in_enough_of_the_rows() -> None:
    judged = model(TEXTS, CLASSES)
    assert judged.shared(np.arange(3), 1.0).size == 1, "printer"
    assert judged.shared(np.arange(3), 0.6).size == 4, "printer, paper, jam, toner"


def test_classes_without_rows_are_no_answers() -> None:
    judged = model(TEXTS, CLASSES + 1)
    assert judged.classes == 2
    assert (judged.contradictions(np.arange(6), NONE) == model(TEXTS, CLASSES).contradictions(np.arange(6), NONE)).all()
