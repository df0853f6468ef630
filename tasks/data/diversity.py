"""Whether texts differ in more than details, and instructions at all."""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import entropy

from tasks.data.examples import sample_rows, text_of
from tasks.data.findings import Diversity, Finding
from tasks.data.phrases import Words, words_of

FEW_PHRASES = 0.25
"""Distinct-2 below which texts repeat one another. Measured: messages of customers 0.45 (Banking77, of one label alone 0.39) and 0.83 (the
helpdesk sample), requests composed of a few hundred sentences 0.48."""

TEMPLATED = 0.2
"""Share of texts from which on templates are a fault. Measured: none in the three above, and all where ten sentences have names and numbers
filled in."""

_ROWS, _WORDS, _SKELETONS = 5_000, 10_000, 2_000
_CHARACTERS = 1_000
"""Of each text, from its beginning."""

_FREQUENT = 0.02
"""Share of the texts that hold a word which belongs to a template, and of those that follow it."""
_LEAST_FIXED, _LEAST_ROWS = 4, 5
_SLOT = -1


def build_diversity(rows: pl.DataFrame, told: pl.Series) -> Diversity:
    """Distinct words and pairs of them (Li, Galley, Brockett, Gao, Dolan, NAACL 2016), templates, and the spread of instructions.

    Distinct-1 and distinct-2 are those of the first 10,000 words of a sample, as of more words a smaller share is distinct: figures of
    fewer words do not compare. Two words that follow one another count if they stand in one row.

    Args:
        rows: all rows, or as large a sample (`tasks.data.examples.sample_rows`) as is at hand.
        told: the instruction of each of all rows, or what stands for it; null where there is none.
    """
    words = _words(sample_rows(rows, _ROWS))
    word, row = words.word[:_WORDS], words.row[:_WORDS]
    pairs = (word[:-1] * len(words.vocabulary) + word[1:])[row[:-1] == row[1:]]
    counts = told.drop_nulls().value_counts(name="rows")["rows"].sort().to_numpy()
    return Diversity(
        looked_at=np.unique(row).size,
        distinct_1=_distinct_share(word),
        distinct_2=_distinct_share(pairs),
        templated=_templated_share(rows),
        instructions=counts.size,
        instruction_entropy=_evenness(counts),
    )


def find_low_diversity(diversity: Diversity, rows: int, *, labelled: bool) -> list[Finding]:
    """What is to be said of these figures of `rows` rows. One instruction for all is no fault; with free text it calls for advice."""
    found = []
    if diversity.looked_at and (diversity.templated >= TEMPLATED or diversity.distinct_2 < FEW_PHRASES):
        found.append(_repetitive(diversity))
    if diversity.instructions == 1:
        found.append(_one_instruction(rows, labelled))
    return found


def _repetitive(diversity: Diversity) -> Finding:
    templated = diversity.templated >= TEMPLATED
    share = diversity.templated if templated else 1 - diversity.distinct_2
    what = "texts of a sample differ from many others in rare words only" if templated else "pairs of words in a sample are repetitions"
    return Finding(
        code="LOW_DIVERSITY",
        level="warning",
        count=round(share * diversity.looked_at),
        looked_at=diversity.looked_at,
        message=f"{share:.0%} of the {what} (distinct-1 {diversity.distinct_1:.2f}, distinct-2 {diversity.distinct_2:.2f})",
        hint="a model learns the template instead of the task: add rows that people wrote, or fewer rows of each template",
    )


def _one_instruction(rows: int, labelled: bool) -> Finding:
    usual = ", as is usual where answers are labels" if labelled else ""
    advice = (
        "" if labelled else "a model that shall follow other instructions too needs rows with others, or with other wordings of this one"
    )
    return Finding(
        code="LOW_DIVERSITY", level="info", count=rows, looked_at=rows, message=f"all rows have the same instruction{usual}", hint=advice
    )


def _templated_share(rows: pl.DataFrame) -> float:
    """Share of the distinct texts of a sample whose skeleton many others have too."""
    words = _words(sample_rows(rows, _SKELETONS).unique("text", keep="first", maintain_order=True))
    counted = Counter(skeleton for skeleton in _skeletons(words) if len(skeleton) - skeleton.count(_SLOT) >= _LEAST_FIXED)
    least = max(_LEAST_ROWS, _FREQUENT * words.rows)
    return sum(count for count in counted.values() if count >= least) / max(words.rows, 1)


def _skeletons(words: Words) -> Iterator[tuple[int, ...]]:
    """Each text's frequent words, with one slot for all rare ones between two of them."""
    held = np.unique(words.row * len(words.vocabulary) + words.word) % max(len(words.vocabulary), 1)
    frequent = np.bincount(held, minlength=len(words.vocabulary)) >= _FREQUENT * words.rows
    fixed = np.where(frequent[words.word], words.word, _SLOT)
    starts = np.diff(words.row, prepend=-1) > 0
    kept = starts | (fixed != _SLOT) | (np.append(0, fixed[:-1]) != _SLOT)
    ends = np.flatnonzero(starts[kept])[1:]
    for part in np.split(fixed[kept], ends):
        yield tuple(part.tolist())


def _words(rows: pl.DataFrame) -> Words:
    return words_of(rows.select(text_of().str.head(_CHARACTERS)).to_series())


def _distinct_share(values: NDArray[np.int64]) -> float:
    return np.unique(values).size / values.size if values.size else 0.0


def _evenness(counts: NDArray[np.integer]) -> float:
    """Shannon's entropy of the shares, over that of equal shares."""
    if counts.size < 2:
        return 0.0
    return min(1.0, float(entropy(counts)) / math.log(counts.size))
