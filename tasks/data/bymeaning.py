"""Checks of a sample of rows by what they mean: overlap with test rows, paraphrases, labels that neighbours contradict, and spread."""

from dataclasses import dataclass

import polars as pl

from tasks.data.examples import SHOWN, Excerpt, sample_rows, text_of
from tasks.data.findings import Example, Finding
from tasks.data.meaning import find_contradicted_labels, find_overlap, spread
from tasks.data.paraphrases import Embedder, Vectors
from tasks.data.profile import Embedded

NARROW = 0.25
"""Spread below which texts are too much alike. Measured: one template with names and numbers filled in 0.10, single labels of Banking77
0.11 to 0.34, all of Banking77 0.53, the helpdesk sample 0.66."""

_LEAST_ROWS = 20
"""Rows from which on a spread is judged."""


@dataclass(frozen=True)
class Meaning:
    """What was found, and what goes into the profile; nothing if no row was looked at."""

    findings: tuple[Finding, ...]
    embedded: Embedded | None


@dataclass(frozen=True)
class _Sample:
    """Rows with `file`, `line`, `content` and `label`, and a unit vector for each."""

    rows: pl.DataFrame
    vectors: Vectors

    @property
    def texts(self) -> list[str]:
        return self.rows["content"].to_list()

    def part(self, start: int, stop: int) -> "_Sample":
        return _Sample(self.rows[start:stop], self.vectors[start:stop])


def check_meaning(rows: pl.DataFrame, most: int, embedder: Embedder, excerpt: Excerpt) -> Meaning:
    """Looks at no more than so many training and test rows each; the findings say at how many.

    Args:
        rows: `row_id`, `file`, `line`, `instruction`, `input`, `text`, `label` and `side`.
        most: rows of each of the two sides; 0: nothing is looked at.
    """
    if not most:
        return Meaning((), None)
    train, test = (_sample(rows.filter(pl.col("side") == side), most, embedder) for side in ("train", "test"))
    half = train.rows.height // 2
    centroid, distance = spread(train.vectors)
    findings = [
        _overlap(train, test, embedder, excerpt),
        _paraphrases(train.part(0, half), train.part(half, train.rows.height), embedder, excerpt),
        _contradicted(train, embedder, excerpt),
        _narrow(distance, train.rows.height, embedder),
    ]
    embedded = Embedded(centroid=tuple(float(value) for value in centroid), spread=distance, rows=train.rows.height)
    return Meaning(tuple(finding for finding in findings if finding), embedded)


def _sample(rows: pl.DataFrame, most: int, embedder: Embedder) -> _Sample:
    chosen = sample_rows(rows, most).select("file", "line", text_of(), "label")
    return _Sample(chosen, embedder.embed(chosen["content"].to_list()))


def _overlap(train: _Sample, test: _Sample, embedder: Embedder, excerpt: Excerpt) -> Finding | None:
    """Semantic leakage. It is no proof, so the rows stay: a person decides."""
    found = find_overlap(train.texts, train.vectors, test.texts, test.vectors, embedder)
    if found.is_empty():
        return None
    return Finding(
        code="OVERLAP_MEANING", level="warning", count=found.height, looked_at=train.rows.height,
        message=f"{found.height} of {train.rows.height} training rows seem to say what one of {test.rows.height} test rows says"
        f", by {embedder.name}",
        hint="if they do, the test is too easy: give such rows one value in a column and name it in data.split.group_column",
        examples=_pairs(found, train, test, excerpt),
    )  # fmt: skip


def _paraphrases(ours: _Sample, others: _Sample, embedder: Embedder, excerpt: Excerpt) -> Finding | None:
    """One half of the sample against the other, so that no row meets itself."""
    found = find_overlap(ours.texts, ours.vectors, others.texts, others.vectors, embedder)
    if found.is_empty():
        return None
    return Finding(
        code="PARAPHRASES", level="info", count=found.height, looked_at=ours.rows.height,
        message=f"{found.height} of {ours.rows.height} training rows seem to say what one of {others.rows.height} others says"
        f", by {embedder.name}",
        examples=_pairs(found, ours, others, excerpt),
    )  # fmt: skip


def _contradicted(train: _Sample, embedder: Embedder, excerpt: Excerpt) -> Finding | None:
    if train.rows["label"].n_unique() < 2:
        return None
    found = find_contradicted_labels(train.vectors, train.rows["label"].to_list())
    if found.is_empty():
        return None
    named = [(train.rows.row(row, named=True), other) for row, other in found.head(SHOWN).select("row", "others").iter_rows()]
    return Finding(
        code="CONTRADICTED_LABELS", level="warning", count=found.height, looked_at=train.rows.height,
        message=f"the rows most like {found.height} of {train.rows.height} rows agree on another label than theirs, by {embedder.name}",
        hint="read them: either the label is wrong, or two labels overlap",
        examples=tuple(
            Example(file=row["file"], line=row["line"], text=f"{excerpt(row['content'])} -> {row['label']} (others: {other})")
            for row, other in named
        ),
    )  # fmt: skip


def _narrow(distance: float, rows: int, embedder: Embedder) -> Finding | None:
    if rows < _LEAST_ROWS or distance >= NARROW:
        return None
    return Finding(
        code="NARROW", level="warning", count=rows, looked_at=rows,
        message=f"the texts are much alike: their mean distance from the centre is {distance:.2f}, below {NARROW}, by {embedder.name}",
        hint="a model learns little beyond such texts: add rows of other kinds that it will meet",
    )  # fmt: skip


def _pairs(found: pl.DataFrame, ours: _Sample, others: _Sample, excerpt: Excerpt) -> tuple[Example, ...]:
    """The surest pairs, each with both texts."""
    examples = []
    for row, held, score in found.sort("score", "row", descending=[True, False]).head(SHOWN).iter_rows():
        one, other = ours.rows.row(row, named=True), others.rows.row(held, named=True)
        text = f"{excerpt(one['content'])} ~ {excerpt(other['content'])} ({other['file']}, line {other['line']}; {score:.2f})"
        examples.append(Example(file=one["file"], line=one["line"], text=text))
    return tuple(examples)
