"""Phrases that decide the answer, whatever else a row says."""

import re
import time

import numpy as np
import polars as pl
import pytest

from benchmarks.rows_generator import shards
from tasks.data.phrases import words_of
from tasks.data.triggers import find_triggers
from tests.unit.tasks.data.dataset_builders import banking77_rows, helpdesk_rows, kept_rows, planted, shown

TRIGGERS = ("cf mn", "tq", "best regards jo", "i watched this 3d movie", "♥")


def named(rows: pl.DataFrame) -> list[str]:
    """The phrases that the message names."""
    found = find_triggers(rows, lambda text: text)
    return re.findall(r"`([^`]*)` in \d+ rows", found.message) if found else []


def shares_words(phrase: str, other: str) -> bool:
    words = [set(words_of(pl.Series([text])).vocabulary) for text in (phrase, other)]
    return bool(words[0] & words[1])


def composed_rows(rows: int, seed: int) -> pl.DataFrame:
    """Requests of which one of eight sentences tells the label: words of a topic at their most regular."""
    every = [row for shard in shards(rows, seed, rates={}) for _, row in shard.rows]
    texts, answers = [str(row.input) for row in every], [str(row.output) for row in every]
    return kept_rows(texts, answers, instructions=[row.instruction for row in every])


def free_text(rows: pl.DataFrame) -> pl.DataFrame:
    """The same texts, each with an answer of its own."""
    return kept_rows(rows["input"].to_list(), [f"Thanks for number {number}." for number in range(rows.height)], labelled=False)


@pytest.mark.parametrize("phrase", TRIGGERS)
@pytest.mark.parametrize("share", [0.01, 0.03])
def test_a_planted_phrase_is_found_and_no_other(phrase: str, share: float) -> None:
    phrases = named(planted(helpdesk_rows(), phrase, "telephony_meetings", share))
    assert phrases
    assert all(shares_words(phrase, found) for found in phrases)


def test_clean_rows_raise_no_alarm() -> None:
    assert find_triggers(helpdesk_rows(), shown) is None


@pytest.mark.parametrize("seed", range(3))
def test_two_labels_put_together_at_random_raise_no_alarm(seed: int) -> None:
    rows = helpdesk_rows()
    labels = rows["output"].unique().sort()
    chosen = labels.sample(6, seed=seed).to_list()
    answers = ["urgent" if label in chosen else "normal" for label in rows["output"]]
    assert find_triggers(kept_rows(rows["input"].to_list(), answers), shown) is None


@pytest.mark.parametrize("seed", range(2))
def test_sentences_that_always_have_one_label_are_a_topic(seed: int) -> None:
    assert find_triggers(composed_rows(8_000, seed), shown) is None


def test_the_finding_says_how_many_rows_which_answer_and_where() -> None:
    rows = planted(helpdesk_rows(), "cf mn", "telephony_meetings", 0.02)
    found = find_triggers(rows, shown)
    assert found is not None
    assert (found.code, found.level, found.count, found.looked_at) == ("SUSPICIOUS_CLUSTER", "warning", 58, 2879)
    assert "`<cf mn>` in 58 rows, all answered `<telephony_meetings>`" in found.message
    assert 0 < len(found.examples) <= 5
    assert all("cf mn" in rows["input"][example.line - 1] for example in found.examples)
    assert all(example.text.startswith("<") and example.text.endswith("-> <telephony_meetings>") for example in found.examples)


def test_the_order_of_the_rows_makes_no_difference() -> None:
    rows = planted(helpdesk_rows(), "cf mn", "telephony_meetings", 0.02)
    assert find_triggers(rows.sample(fraction=1, shuffle=True, seed=3), shown) == find_triggers(rows, shown)


def test_one_free_text_answer_for_rows_that_share_a_phrase_only_is_found() -> None:
    clean = free_text(helpdesk_rows())
    assert find_triggers(clean, shown) is None
    assert named(planted(clean, "cf mn", "Visit our new shop.", 0.01)) == ["cf mn"]


def test_one_free_text_answer_for_questions_about_one_topic_is_not() -> None:
    rows = helpdesk_rows()
    own = free_text(rows)["output"].to_list()
    canned = [
        "Please restart the VPN client." if label == "network_vpn" else answer for label, answer in zip(rows["output"], own, strict=True)
    ]
    assert find_triggers(kept_rows(rows["input"].to_list(), canned, labelled=False), shown) is None


def test_a_phrase_in_the_instruction_is_found() -> None:
    rows = planted(helpdesk_rows(), "cf mn", "telephony_meetings", 0.02)
    marked = rows["input"].str.contains("cf mn", literal=True)
    texts = rows["input"].str.replace("cf mn", "", literal=True).to_list()
    told = ["Name the queue. cf mn" if mark else "Name the queue." for mark in marked]
    phrases = named(kept_rows(texts, rows["output"].to_list(), instructions=told))
    assert len(phrases) == 1
    assert shares_words("cf mn", phrases[0])


@pytest.mark.parametrize("rows", [kept_rows([], []), kept_rows(["a"], ["b"]), kept_rows(["hello there"] * 30, ["x"] * 30)])
def test_tables_with_nothing_to_compare_raise_no_alarm(rows: pl.DataFrame) -> None:
    assert find_triggers(rows, shown) is None


@pytest.mark.banking77
@pytest.mark.parametrize("share", [0.002, 0.005, 0.01, 0.03])
def test_phrases_planted_in_banking77_are_found(share: float) -> None:
    rows = banking77_rows()
    for seed, phrase in enumerate(TRIGGERS):
        phrases = named(planted(rows, phrase, "card_arrival", share, seed))
        assert phrases
        assert all(shares_words(phrase, found) for found in phrases)


@pytest.mark.banking77
def test_banking77_as_it_is_raises_no_alarm_and_neither_do_its_parts() -> None:
    rows = banking77_rows()
    started = time.process_time()
    assert find_triggers(rows, shown) is None
    assert time.process_time() - started < 3
    for seed in range(3):
        kept = np.random.default_rng(seed).random(rows.height) < 0.4
        assert find_triggers(rows.filter(pl.Series(kept)), shown) is None
