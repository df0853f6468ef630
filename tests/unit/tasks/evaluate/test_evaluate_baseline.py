from pathlib import Path

from tasks.artifacts import Figures
from tasks.evaluate.baseline import tfidf_figures
from tests.builders import make_row

TRAIN = [
    make_row(f"{word} number {n}", label) for n in range(8) for word, label in (("the vpn drops", "network"), ("paper jam", "printing"))
]
TEST = [make_row("my vpn connection is gone", "network"), make_row("jammed paper again", "printing")]


def test_learns_labels_from_the_training_rows(tmp_path: Path) -> None:
    assert tfidf_figures(TRAIN, TEST, labelled=True, scratch=tmp_path) == Figures(values={"accuracy": 1.0, "macro_f1": 1.0})


def test_has_no_figures_where_answers_are_no_labels(tmp_path: Path) -> None:
    assert tfidf_figures(TRAIN, TEST, labelled=False, scratch=tmp_path) == Figures()


def test_has_no_figures_with_one_label(tmp_path: Path) -> None:
    assert tfidf_figures(TRAIN[::2], TEST, labelled=True, scratch=tmp_path) == Figures()
