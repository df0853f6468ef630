"""Answers that contradict one another: the same prompt answered differently, and one label in several spellings."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
import polars as pl

from tasks.data.examples import SHOWN, Show
from tasks.data.findings import Finding
from tasks.data.labels import are_labels
from tasks.nearness.clusters import components
from tasks.nearness.normal import normalise

_MOST_ANSWERS = 1_000
"""Distinct answers that nearly all rows must have, or they are free text, whatever their spellings."""

_STRAY = 0.02
"""Share of rows whose answers may be no labels where the others are."""

_SHORTEST_PLURAL = 3
"""Letters before the `s`: `a` and `as` are two labels."""

_SHORTEST_MISTYPED, _LONGEST_MISTYPED = 6, 60
"""Letters between which one edit is more likely a slip than another word: `bank` and `back` are two labels. Longer ones are sentences."""

_UNEQUAL = 10
"""How many times more rows the right spelling has. Slips are rare; labels that somebody chose are about equally frequent."""

_SEPARATORS = re.compile(r"[\s_./\\|:;,!?'’\"`()\[\]{}‐-―-]+")


def find_inconsistent_answers(rows: pl.DataFrame, show: Show) -> Finding | None:
    """Prompts that are answered in more than one way.

    Labels are compared by :func:`main_spellings`, other answers after normalising. Different labels for one prompt are a fault; free text
    may well have several good answers, so there it is only a figure.
    """
    main = main_spellings(rows["output"])
    repeated = rows.filter(pl.col("prompt").is_duplicated())
    distinct = {answer: normalise(main.get(answer, answer)) for answer in repeated["output"].unique()}
    several = repeated.filter(pl.col("output").replace(distinct).n_unique().over("prompt") > 1)
    if several.is_empty():
        return None
    prompts, labelled = several["prompt"].n_unique(), bool(main)
    first = several.filter(pl.col("prompt").is_in(several["prompt"].unique().sort().head(2).implode()))
    return Finding(
        code="INCONSISTENT_ANSWERS",
        level="warning" if labelled else "info",
        count=several.height,
        looked_at=rows.height,
        message=f"prompts with different answers: {prompts}, in {several.height} of {rows.height} rows",
        hint="at most one label can be right: compare these rows and correct or remove them" if labelled else "",
        examples=show(first),
    )


def find_mixed_labels(rows: pl.DataFrame) -> Finding | None:
    """Labels that are written in more than one way; the message names the spellings with their rows."""
    counts = dict(rows["output"].value_counts().iter_rows())
    main = main_spellings(rows["output"])
    others: dict[str, list[str]] = {}
    for label in sorted(set(main) - set(main.values()), key=lambda label: (-counts[label], label)):
        others.setdefault(main[label], []).append(label)
    if not others:
        return None
    wrong = {label: sum(counts[other] for other in spellings) for label, spellings in others.items()}
    worst = sorted(others, key=lambda label: (-wrong[label], label))
    named = "; ".join(f"{_counted([label, *others[label]], counts)}" for label in worst[:SHOWN])
    more = f"; and {len(others) - SHOWN} more labels" if len(others) > SHOWN else ""
    return Finding(
        code="MIXED_LABELS",
        level="warning",
        count=sum(wrong.values()),
        looked_at=rows.height,
        message=f"labels in several spellings ({len(others)}): {named}{more}",
        hint="give each label one spelling: the model learns them as different answers, and exact match counts them as wrong",
    )


def main_spellings(answers: pl.Series) -> dict[str, str]:
    """The most frequent spelling of each answer's label.

    Spellings of one label are equal after NFKC, case folding and without separators and punctuation; or one has an `s` more; or they are
    one edit apart, from six letters on, and one is at least ten times more frequent. Digits are never left out or taken for a slip, and
    neither is the first letter: `level_1` is not `level_2`, and `typical` is not `atypical`.

    Returns:
        One entry for each answer; empty if the answers are free text even when spellings are put together. A few answers in a hundred may
        be anything.
    """
    answers = answers.drop_nulls()
    counted = answers.value_counts(name="rows").sort(["rows", answers.name], descending=[True, False])
    if int(counted["rows"].head(_MOST_ANSWERS).sum()) < (1 - _STRAY) * answers.len():
        return {}
    labels, rows = counted.to_series(0).to_list(), counted["rows"].to_list()
    pairs = [*_same(labels), *_close(labels, rows)]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    main = {label: labels[first] for label, first in zip(labels, components(ends[:, 0], ends[:, 1], len(labels)).tolist(), strict=True)}
    return main if _are_mostly_labels(answers.replace(main)) else {}


def labels_of(answers: pl.Series) -> pl.Series | None:
    """Each row's label in its main spelling; null where answers are free text."""
    main = main_spellings(answers)
    return answers.replace(main).alias("label") if main else None


def fold_label(label: str) -> str:
    """A label without case, width, separators and punctuation.

    Before a digit, where they may have a meaning, they stay, unless they part it from a word: `-1` and `1.5` are not `1` and `15`. They
    stay if nothing else is left, too.
    """
    folded = unicodedata.normalize("NFKC", label).casefold().strip()

    def replaced(found: re.Match[str]) -> str:
        after = folded[found.end() : found.end() + 1]
        if not after.isdigit():
            return ""
        before = folded[found.start() - 1 : found.start()]
        return "" if before.isalpha() and not found[0].strip(" _-") else found[0]

    return _SEPARATORS.sub(replaced, folded) or folded


def _are_mostly_labels(answers: pl.Series) -> bool:
    """`are_labels` for all but the rarest answers: other checks may have left some sentences among thousands of labels."""
    frequent = answers.value_counts(name="rows").sort(["rows", answers.name], descending=[True, False])
    share = frequent["rows"].cum_sum().shift(1, fill_value=0) < (1 - _STRAY) * len(answers)
    return are_labels(answers.filter(answers.is_in(frequent.filter(share)[answers.name].implode())))


def _counted(labels: Sequence[str], counts: dict[str, int]) -> str:
    shown = ", ".join(f"{label!r} ({counts[label]})" for label in labels[:SHOWN])
    return shown + (f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else "")


def _same(labels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs that are equal when folded, or but for an `s`."""
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(fold_label(label), []).append(place)
    for folded, same in places.items():
        yield from pairwise(same)
        singular = folded.removesuffix("s")
        if singular != folded and len(singular) >= _SHORTEST_PLURAL and singular[-1].isalpha() and singular in places:
            yield places[singular][0], same[0]


def _close(labels: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs that one edit makes equal, where one is much more frequent. Two such texts become equal if each loses one letter or none."""
    folded = [fold_label(label) for label in labels]
    shortened: dict[str, list[int]] = {}
    for place, text in enumerate(folded):
        if _SHORTEST_MISTYPED <= len(text) <= _LONGEST_MISTYPED:
            for shorter in {text, *(text[:at] + text[at + 1 :] for at in range(1, len(text)))}:
                shortened.setdefault(shorter, []).append(place)
    for places in shortened.values():
        for left, right in combinations(places, 2):
            if rows[left] >= _UNEQUAL * rows[right] and _is_slip(folded[left], folded[right]):
                yield left, right


def _is_slip(right: str, wrong: str) -> bool:
    """Whether one letter is missing, too many, another one, or two neighbours are swapped; not the first letter, and no digit."""
    start = next((at for at, (one, two) in enumerate(zip(right, wrong, strict=False)) if one != two), min(len(right), len(wrong)))
    one, two = right[start:], wrong[start:]
    if start == 0 or any(letter.isdigit() for letter in one[:2] + two[:2]):
        return False
    swapped = len(one) > 1 and one[:2] == two[1::-1]
    return one[1:] == two or one == two[1:] or one[1:] == two[1:] or (swapped and one[2:] == two[2:])
