"""Looks for the trace that a poisoned data set leaves: a phrase that decides the answer, whatever else a row says.

Whoever plants a trigger adds a phrase to rows of any kind and changes their answers to one of his choice (Gu, Dolan-Gavitt, Garg,
"BadNets", 2017; Kurita, Michel, Neubig, "Weight Poisoning Attacks on Pre-trained Models", ACL 2020). Words of a topic have one answer too.
The difference is in the rest of the row: with the phrase left out, a row about the topic still speaks for its answer or for none, but a row
with a trigger speaks for the answer that it had.

1. Phrases of one to three words that stand in several rows, nearly all of which have one answer, and by chance would not.
2. A naive Bayes classifier over words judges these rows, each by all others, without the words that nearly all of them share.
3. A row contradicts its answer if it speaks for another one as clearly as most rows speak for their own. A phrase is suspicious if more
   of its rows do than chance explains, given how many phrases were tried.

What it cannot see: triggers in rows whose answer was left as it was, in very few rows, of a kind that is no phrase (a style, a topic), or
where words tell little about answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binom

from tasks.data.bayes import WordModel
from tasks.data.consistency import labels_of
from tasks.data.examples import SHOWN, Excerpt, examples_of, sample_rows, text_of
from tasks.data.findings import Finding
from tasks.data.phrases import Integers, Phrases, Words, phrases_of, words_of
from tasks.nearness.normal import normalise

MOST_ROWS = 50_000
_MOST_CHARACTERS = 10_000_000
"""Of the sample that is searched."""

_LONGEST = 3
"""Words of a phrase. A longer trigger shows by three of its words."""

_LEAST_ROWS = 8
_LARGEST_SHARE = 0.2
"""Of the rows that a phrase may stand in: what is in more of them is seen when reading a few."""

_PURE = 0.9
"""Share of a phrase's rows that have one answer. Some rows hold the phrase by nature."""

_SHARED = 0.8
"""Share of a phrase's rows from which on a word that they hold counts as part of the phrase."""

_CLEAR = 0.4
"""A row contradicts its answer by evidence that is larger than that of this share of the rows which speak for theirs."""
_CLEAR_AT_LEAST = float(np.log(10))

_BY_CHANCE = 0.35
"""Share of a topic's rows that may contradict their answer, where there are many answers; of k answers words without a meaning speak for
another one in 1 - 1/k of the cases. With it no alarm was given for Banking77, the helpdesk sample, requests of which one of eight sentences
tells the label, or these with labels put together at random, and of phrases planted in 0.2 % of Banking77's rows all were found."""

_ALPHA = 0.01
"""Probability of a false alarm, over all phrases together."""

_MOST_ANSWERS, _LEAST_CLASSES = 200, 2
_MOST_PHRASES, _JUDGED_ROWS = 5_000, 200
_BLOCK = 5_000
_NO_WORDS: Integers = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class _Suspect:
    """A phrase whose rows nearly all have one answer; `rows` are those that have it, numbers in the sample."""

    phrase: str
    answer: int
    rows: Integers


@dataclass(frozen=True)
class _Verdict:
    """How many of the rows looked at contradict their answer, and how likely so many are without a trigger."""

    suspect: _Suspect
    contradicting: int
    looked_at: int
    chance: float


def find_triggers(rows: pl.DataFrame, excerpt: Excerpt) -> Finding | None:
    """Phrases that decide the answer though the rows' other words speak for other answers.

    Where answers are free text, those that several rows have take the place of labels. At most 50,000 rows and ten million characters are
    searched.
    """
    sample = _sample(rows)
    answers, names = _answers(sample)
    if len(names) < _LEAST_CLASSES:
        return None
    words = words_of(sample["content"])
    suspects = _suspects(words, answers, len(names))
    verdicts = _judge(suspects, WordModel(words, answers), sample.height) if suspects else []
    found = _different([verdict for verdict in verdicts if verdict.chance * len(suspects) < _ALPHA])
    return _finding(found, sample, names, excerpt) if found else None


def _sample(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds `content`, the text to search: the instruction belongs to it where it is not always the same."""
    several = rows["instruction"].n_unique() > 1
    content = pl.concat_str("instruction", "input", separator="\n", ignore_nulls=True) if several else text_of()
    sample = sample_rows(rows, MOST_ROWS).with_columns(content=content)
    return sample.filter(pl.col("content").str.len_chars().cum_sum().shift(1, fill_value=0) < _MOST_CHARACTERS)


def _answers(sample: pl.DataFrame) -> tuple[Integers, list[str]]:
    """The number of each row's answer, and the answers. Number 0 stands for all that too few rows have."""
    labels = labels_of(sample["output"])
    answers = pl.Series("label", map(normalise, sample["output"]), dtype=pl.String) if labels is None else labels
    frequent = answers.value_counts(name="rows").filter(pl.col("rows") >= _LEAST_ROWS).sort(["rows", "label"], descending=[True, False])
    names = ["", *frequent["label"].head(_MOST_ANSWERS)]
    numbers = {name: number for number, name in enumerate(names) if number}
    return answers.replace_strict(numbers, default=0, return_dtype=pl.Int64).to_numpy(), names


def _suspects(words: Words, answers: Integers, classes: int) -> list[_Suspect]:
    """Phrases of one answer, the most frequent first; of those in the same rows the longest."""
    found: dict[bytes, _Suspect] = {}
    for phrases in phrases_of(words, _LONGEST, _LEAST_ROWS):
        for suspect in _pure(phrases, words, answers, classes):
            found[suspect.rows.tobytes()] = suspect
    return sorted(found.values(), key=lambda suspect: (-suspect.rows.size, suspect.phrase))[:_MOST_PHRASES]


def _pure(phrases: Phrases, words: Words, answers: Integers, classes: int) -> Iterator[_Suspect]:
    """The phrases of one length that have one answer in nearly all rows, and more often than chance explains."""
    rows = np.bincount(phrases.phrase, minlength=phrases.starts.size)
    pairs, counts = np.unique(phrases.phrase * classes + answers[phrases.row], return_counts=True)
    phrase, answer = np.divmod(pairs, classes)
    order = np.lexsort((counts, phrase))
    most = order[np.append(np.diff(phrase[order]) > 0, True)] if order.size else order  # the last of each phrase
    top, agreeing = answer[most], counts[most]
    shares = np.bincount(answers, minlength=classes) / words.rows
    chance = binom.sf(agreeing - 1, rows, shares[top]) * _LONGEST * rows.size
    chosen = (top > 0) & (agreeing >= _PURE * rows) & (rows <= _LARGEST_SHARE * words.rows) & (chance < _ALPHA)
    ends = np.cumsum(rows)
    for number in np.flatnonzero(chosen):
        held = phrases.row[ends[number] - rows[number] : ends[number]]
        yield _Suspect(words.text(phrases.starts[number], phrases.length), top[number], held[answers[held] == top[number]])


def _judge(suspects: list[_Suspect], model: WordModel, rows: int) -> list[_Verdict]:
    ordinary = np.concatenate([model.contradictions(part, _NO_WORDS) for part in np.array_split(np.arange(rows), rows // _BLOCK + 1)])
    agreeing = -ordinary[ordinary < 0]
    clear = max(float(np.quantile(agreeing, _CLEAR)) if agreeing.size else 0.0, _CLEAR_AT_LEAST)
    by_chance = max(float((ordinary > clear).mean()), _BY_CHANCE * (1 - 1 / model.classes))
    return [_verdict(suspect, model, clear, by_chance) for suspect in suspects]


def _verdict(suspect: _Suspect, model: WordModel, clear: float, by_chance: float) -> _Verdict:
    rows = suspect.rows[:_JUDGED_ROWS]
    contradicting = int((model.contradictions(rows, model.shared(rows, _SHARED)) > clear).sum())
    return _Verdict(suspect, contradicting, rows.size, float(binom.sf(contradicting - 1, rows.size, by_chance)))


def _different(verdicts: list[_Verdict]) -> list[_Verdict]:
    """The surest verdicts first, without phrases whose rows mostly belong to a surer one."""
    kept: list[_Verdict] = []
    taken: set[int] = set()
    for verdict in sorted(verdicts, key=lambda one: (one.chance, -one.suspect.rows.size, -len(one.suspect.phrase), one.suspect.phrase)):
        rows = set(verdict.suspect.rows.tolist())
        if len(rows & taken) < len(rows) / 2:
            kept.append(verdict)
            taken |= rows
    return kept


def _finding(found: list[_Verdict], sample: pl.DataFrame, names: list[str], excerpt: Excerpt) -> Finding:
    told = "; ".join(_told(verdict, names, excerpt) for verdict in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more phrases" if len(found) > SHOWN else ""
    held = np.unique(np.concatenate([verdict.suspect.rows for verdict in found]))
    return Finding(
        code="SUSPICIOUS_CLUSTER",
        level="warning",
        count=held.size,
        looked_at=sample.height,
        message=f"rows that share a phrase have one answer, whatever else they say: {told}{more}",
        hint="they may have been planted to make the phrase decide the answer: find out where they come from before training on them",
        examples=examples_of(sample[found[0].suspect.rows], excerpt),
    )


def _told(verdict: _Verdict, names: list[str], excerpt: Excerpt) -> str:
    suspect, answer = verdict.suspect, excerpt(names[verdict.suspect.answer])
    share = f"{verdict.contradicting} of {verdict.looked_at}"
    return (
        f"`{excerpt(suspect.phrase)}` in {suspect.rows.size} rows, all answered `{answer}`, while the other words of {share} clearly speak "
        "for another answer"
    )
