import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from pipeline_config.errors import EvaluationError
from tasks.evaluate.metrics import measure_answers, perplexity_of
from tasks.evaluate.outcomes import per_row_correct

LABELS = ["access", "hardware", "network", "printing"]


def test_figures_are_those_of_scikit_learn(tmp_path: Path) -> None:
    chance = random.Random(3)
    expected = [chance.choice(LABELS) for _ in range(200)]
    answers = [chance.choice([wanted, *LABELS, "something else", ""]) for wanted in expected]
    figures = measure_answers(expected, answers, labelled=True, mean_loss=None, scratch=tmp_path)
    assert figures.get("accuracy") == pytest.approx(accuracy_score(expected, answers), abs=1e-12)
    assert figures.get("macro_f1") == pytest.approx(f1_score(expected, answers, labels=LABELS, average="macro"), abs=1e-12)


def test_macro_f1_averages_over_labels_of_the_test_rows_and_counts_other_answers_as_misses(tmp_path: Path) -> None:
    # a: 2 of 2 found, no false alarm, F1 1. b: 1 of 2 found, F1 2/3. "c" is no label of the test rows: it only misses.
    figures = measure_answers(["a", "a", "b", "b"], ["a", "a", "b", "c"], labelled=True, mean_loss=None, scratch=tmp_path)
    assert figures.get("macro_f1") == pytest.approx((1 + 2 / 3) / 2)


def test_macro_f1_is_null_where_answers_are_no_labels(tmp_path: Path) -> None:
    figures = measure_answers(["a"], ["a"], labelled=False, mean_loss=0.5, scratch=tmp_path)
    assert (figures.get("accuracy"), figures.get("macro_f1")) == (1.0, None)


def test_only_the_whole_stripped_answer_in_the_same_case_is_right() -> None:
    answers = ["VPN", " VPN\n", "vpn", "VPN please", ""]
    assert per_row_correct(["VPN"] * 5, answers) == [True, True, False, False, False]


@settings(deadline=None, max_examples=30)  # the library is slow to set up
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "?"])), min_size=1, max_size=50), st.randoms())
def test_figures_do_not_depend_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    shuffled = chance.sample(rows, len(rows))
    first, second = (
        measure_answers([row[0] for row in order], [row[1] for row in order], labelled=True, mean_loss=None, scratch=folder)
        for order in (rows, shuffled)
    )
    assert first.get("accuracy") == second.get("accuracy")
    assert first.get("macro_f1") == pytest.approx(second.get("macro_f1"))


def test_the_library_makes_its_folders_where_it_is_told_and_not_under_the_home(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    measure_answers(["a", "b"], ["a", "b"], labelled=True, mean_loss=None, scratch=scratch)
    assert {folder.name for folder in scratch.iterdir()} == {"accuracy", "macro_f1"}
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("expected", "answers", "message"),
    [([], [], "0 answers to 0 rows"), (["a"], [], "0 answers to 1 rows"), (["a", "b"], ["a", None], "None")],
)
def test_refuses_what_the_library_would_let_pass(expected: list[str], answers: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=message):
        measure_answers(expected, answers, labelled=True, mean_loss=None, scratch=tmp_path)


def test_perplexity_is_null_where_it_is_no_finite_number() -> None:
    assert perplexity_of(math.log(7)) == pytest.approx(7)
    assert [perplexity_of(loss) for loss in (None, math.nan, math.inf, 1e4)] == [None] * 4
