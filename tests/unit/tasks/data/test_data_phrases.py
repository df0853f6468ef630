"""Words of texts and the phrases that they share."""

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.phrases import phrases_of, words_of


def rows_by_phrase(texts: list[str], longest: int, least: int) -> dict[str, set[int]]:
    words = words_of(pl.Series(texts, dtype=pl.String))
    found = {}
    for phrases in phrases_of(words, longest, least):
        for number, start in enumerate(phrases.starts.tolist()):
            rows = phrases.row[phrases.phrase == number].tolist()
            assert rows == sorted(set(rows))
            found[words.text(start, phrases.length)] = set(rows)
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("My card's lost, twice!", ["my", "card's", "lost", "twice"]),
        ("ＶＰＮ Über", ["vpn", "über"]),
        ("发票 2 张", ["发", "票", "2", "张"]),
        ("pay \u200b now ♥♥", ["pay", "\u200b", "now", "♥♥"]),
        ("", []),
    ],
)
def test_a_text_is_words_without_case_width_and_common_punctuation(text: str, words: list[str]) -> None:
    found = words_of(pl.Series([text]))
    assert [found.text(place, 1) for place in range(found.word.size)] == words


def test_null_has_no_words_and_rows_keep_their_numbers() -> None:
    words = words_of(pl.Series(["one", None, "two one"]))
    assert words.rows == 3
    assert words.row.tolist() == [0, 2, 2]


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=12), st.integers(1, 4))
def test_the_phrases_found_are_those_that_counting_one_by_one_finds(texts: list[list[str]], least: int) -> None:
    expected = defaultdict(set)
    for row, words in enumerate(texts):
        for length in (1, 2, 3):
            for start in range(len(words) - length + 1):
                expected[" ".join(words[start : start + length])].add(row)
    wanted = {phrase: rows for phrase, rows in expected.items() if len(rows) >= least}
    assert rows_by_phrase([" ".join(words) for words in texts], 3, least) == wanted


def test_a_phrase_does_not_go_from_one_row_into_the_next() -> None:
    assert "b a" not in rows_by_phrase(["a b", "a b", "a b"], 2, 1)


def test_no_texts_have_no_phrases() -> None:
    assert rows_by_phrase([], 3, 1) == {}
    assert words_of(pl.Series([], dtype=pl.String)).word.dtype == np.int64
