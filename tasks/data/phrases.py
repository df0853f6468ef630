"""Texts as words, and the phrases of a few words that occur in many of them, as arrays of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]"  # scripts without spaces: each character
    r"|[\p{L}\p{M}\p{N}_]+(?:['’]\p{L}+)*"
    r"|[^\s\p{L}\p{M}\p{N}_.,;:!?'’\"()/-]+"  # runs of uncommon signs, invisible ones too
)


@dataclass(frozen=True)
class Words:
    """All words of some texts, one after another.

    Attributes:
        rows: number of texts.
        row: which text each word stands in, ascending; shape (words,).
        word: its number in the vocabulary; shape (words,).
        vocabulary: the distinct words, sorted.
    """

    rows: int
    row: Integers
    word: Integers
    vocabulary: list[str]

    def text(self, position: int, length: int) -> str:
        """The phrase that begins at a position."""
        return " ".join(self.vocabulary[word] for word in self.word[position : position + length].tolist())


@dataclass(frozen=True)
class Phrases:
    """The phrases of `length` words that stand in enough rows.

    Attributes:
        starts: position in `Words` of one occurrence of each phrase; shape (phrases,).
        phrase: phrase of each pair of a phrase and a row that it stands in, ascending; shape (pairs,).
        row: row of the pair, ascending within a phrase; shape (pairs,).
    """

    length: int
    starts: Integers
    phrase: Integers
    row: Integers


def words_of(texts: pl.Series) -> Words:
    """Words after NFKC and in lower case, in the order of the texts; null has none."""
    found = texts.fill_null("").str.normalize("NFKC").str.to_lowercase().str.extract_all(_WORD)
    words = pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.Int64, eager=True), "word": found}).explode("word").drop_nulls()
    numbers = words["word"].rank("dense").cast(pl.Int64).to_numpy() - 1
    return Words(len(texts), words["row"].to_numpy(), numbers, words["word"].unique().sort().to_list())


def phrases_of(words: Words, longest: int, least: int) -> Iterator[Phrases]:
    """Phrases of one word, of two, and so on, that stand in at least `least` rows.

    A phrase is as frequent as both phrases that it consists of when its last or its first word is left out, or less so: from the
    frequent ones of each length come those of the next (Agrawal, Srikant, "Fast Algorithms for Mining Association Rules", VLDB 1994).
    """
    codes, size = words.word, len(words.vocabulary)  # of the phrase that begins at each position; -1: none
    for length in range(1, longest + 1):
        if codes.size < 2 and length > 1:
            return
        if length > 1:
            codes = _longer(words, codes, size, length)
        phrases, codes = _frequent(words, codes, length, least)
        size = phrases.starts.size
        yield phrases


def _longer(words: Words, codes: Integers, size: int, length: int) -> Integers:
    first, second = codes[:-1], codes[1:]
    within = words.row[: first.size] == words.row[length - 1 :]
    return np.where((first >= 0) & (second >= 0) & within, first * size + second, -1)


def _frequent(words: Words, codes: Integers, length: int, least: int) -> tuple[Phrases, Integers]:
    """The phrases in enough rows, numbered from 0, and the number of the one that begins at each position."""
    positions = np.flatnonzero(codes >= 0)
    _, first, number = np.unique(codes[positions], return_index=True, return_inverse=True)
    pairs = np.sort(number * words.rows + words.row[positions])  # sorting is faster here than hashing, as np.unique does
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    phrase, row = np.divmod(pairs, max(words.rows, 1))
    enough = np.bincount(phrase, minlength=first.size) >= least
    renumbered = np.where(enough, np.cumsum(enough) - 1, -1)
    kept = enough[phrase]
    following = np.full(codes.size, -1, dtype=np.int64)
    following[positions] = renumbered[number]
    return Phrases(length, positions[first[enough]], renumbered[phrase[kept]], row[kept]), following
