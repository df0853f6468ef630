"""Prompts that are answered differently, and labels in several spellings."""

from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.composing import LABELS
from benchmarks.rewrites import label_variant
from tasks.data.consistency import find_inconsistent_answers, find_mixed_labels, fold_label, labels_of, main_spellings
from tests.unit.tasks.data.dataset_builders import banking77_rows, helpdesk_rows, kept_rows, show

NAMES = sorted({label for _, label in LABELS})


def answered(counts: dict[str, int]) -> pl.DataFrame:
    answers = [label for label, count in counts.items() for _ in range(count)]
    return kept_rows([f"request {number}" for number in range(len(answers))], answers)


def together(counts: dict[str, int]) -> set[frozenset[str]]:
    """Which spellings are taken for one label."""
    main = main_spellings(answered(counts)["output"])
    return {frozenset(label for label in main if main[label] == chosen) for chosen in main.values()} - {frozenset([one]) for one in main}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("card_lost", "Card Lost"),
        ("card_lost", "CARD-LOST"),
        ("card_lost", "CardLost"),
        ("card_lost", "ｃａｒｄ＿ｌｏｓｔ"),
        ("card_lost", " card.lost "),
        ("card_lost", "card_losts"),
        ("card_lost", "card_lots"),
        ("card_lost", "card_los"),
        ("card_lost", "card_loost"),
        ("card_lost", "card_lpst"),
        ("level_2", "Level 2"),
        ("refund", "refunds"),
    ],
)
def test_spellings_of_one_label_are_found(right: str, wrong: str) -> None:
    assert together({right: 60, "other": 60, wrong: 3}) == {frozenset({right, wrong})}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("card_arrival", "card_arriving"),
        ("level_1", "level_2"),
        ("level_11", "level_1"),
        ("typical", "atypical"),
        ("legal", "illegal"),
        ("back", "bank"),
        ("1", "-1"),
        ("1.5", "15"),
        ("c", "c++"),
        ("c++", "c#"),
        ("a", "as"),
        ("yes", "no"),
        ("+", "-"),
    ],
)
def test_different_labels_are_left_alone_however_rare_one_is(one: str, other: str) -> None:
    assert together({one: 60, "something else": 60, other: 3}) == set()


def test_labels_one_edit_apart_and_about_as_frequent_are_two_labels() -> None:
    assert together({"interstate": 50, "intrastate": 45, "recieved": 50, "recieves": 20}) == set()


def test_the_message_names_spellings_with_their_rows() -> None:
    found = find_mixed_labels(answered({"card_lost": 60, "Card Lost": 3, "card_lots": 2, "refund": 40}))
    assert found is not None
    assert (found.code, found.level, found.count, found.looked_at) == ("MIXED_LABELS", "warning", 5, 105)
    assert "labels in several spellings (1): 'card_lost' (60), 'Card Lost' (3), 'card_lots' (2)" in found.message


def test_free_text_has_no_spellings() -> None:
    rows = answered({f"Answer number {word}": 1 for word in range(300)})
    assert main_spellings(rows["output"]) == {}
    assert labels_of(rows["output"]) is None
    assert find_mixed_labels(rows) is None


def test_some_sentences_among_the_labels_do_not_hide_spellings() -> None:
    sentences = {f"I cannot answer request {number} as I am only a model.": 1 for number in range(10)}
    assert together({"card_lost": 600, "refund": 400, "Card Lost": 3, **sentences}) == {frozenset({"card_lost", "Card Lost"})}


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True), st.integers(0, 2**32))
def test_every_variant_that_people_write_is_led_back_to_its_label(names: list[str], seed: int) -> None:
    chance = Random(seed)
    counts = dict.fromkeys(names, 100)
    variants = {label_variant(name, chance): name for name in names}
    main = main_spellings(answered(counts | dict.fromkeys(variants, 2))["output"])
    assert {variant: main[variant] for variant in variants} == variants
    assert all(main[name] == name for name in names)


@given(st.text(max_size=12))
def test_folding_again_changes_nothing_more_than_case_and_never_empties_a_label(label: str) -> None:
    folded = fold_label(label)
    assert bool(folded) == bool(label.strip())


def test_spellings_do_not_depend_on_the_order_of_rows() -> None:
    rows = answered({"card_lost": 5, "Card Lost": 5, "refund": 9, "Refunds": 3})
    assert main_spellings(rows["output"]) == main_spellings(rows["output"].reverse())


@pytest.mark.parametrize("rows", [helpdesk_rows, pytest.param(banking77_rows, marks=pytest.mark.banking77)])
def test_nothing_is_found_in_clean_labels(rows: object) -> None:
    assert callable(rows)
    assert find_mixed_labels(rows()) is None


def test_a_prompt_with_two_labels_is_found_with_all_its_rows() -> None:
    texts = ["My card is gone", "my  CARD is gone", "hello", *(f"request {number}" for number in range(20))]
    rows = kept_rows(texts, ["lost", "stolen", "lost", *(["lost", "stolen"] * 10)])
    found = find_inconsistent_answers(rows, show)
    assert found is not None
    assert (found.code, found.level, found.count, found.looked_at) == ("INCONSISTENT_ANSWERS", "warning", 2, 23)
    assert "prompts with different answers: 1, in 2 of 23 rows" in found.message
    assert [(example.line, example.text) for example in found.examples] == [
        (1, "<My card is gone> -> <lost>"),
        (2, "<my  CARD is gone> -> <stolen>"),
    ]


def test_another_spelling_of_the_label_is_no_other_answer() -> None:
    rows = kept_rows(["same", "same", *map(str, range(40))], ["card_lost", "Card Lost", *["card_lost", "refund"] * 20])
    assert find_inconsistent_answers(rows, show) is None


def test_the_same_text_under_another_instruction_is_another_prompt() -> None:
    rows = kept_rows(["same", "same"] * 5, ["yes", "no"] * 5, instructions=["Is it urgent?", "Is it a question?"] * 5)
    assert find_inconsistent_answers(rows, show) is None


def test_several_answers_in_free_text_are_a_figure_and_case_does_not_count() -> None:
    answers = ["A long answer.", "a long  answer.", "Another one.", *(f"Answer {number}." for number in range(30))]
    rows = kept_rows(["same", "same", "same", *map(str, range(30))], answers, labelled=False)
    found = find_inconsistent_answers(rows, show)
    assert found is not None
    assert (found.level, found.count, found.hint) == ("info", 3, "")
    assert find_inconsistent_answers(rows.filter(pl.col("output") != "Another one."), show) is None


def test_an_empty_table_has_nothing_to_compare() -> None:
    empty = kept_rows([], [])
    assert find_inconsistent_answers(empty, show) is None
    assert find_mixed_labels(empty) is None
