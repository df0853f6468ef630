"""What preparation found of the faults that were planted, and what it took for one: from its files and the generator's truth.

Everything is counted by line of the source. Of a kind, `recall` is the share of its rows that were found, and `precision` is
recall / (recall + share of its hard negatives that were taken for it): the precision against as many hard negatives as there are faults.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from benchmarks.faults import PAIRED
from benchmarks.rows_generator import HARD

CODES: Mapping[str, str] = {
    "empty_output": "EMPTY_OUTPUT",
    "whitespace_input": "EMPTY_INPUT",
    "control_characters": "CONTROL_CHARACTERS",
    "control_tokens": "CONTROL_TOKENS",
    "wrong_type": "NOT_TEXT",
    "secret": "SECRET",
    "card": "CARD",
    "iban": "IBAN",
}
"""The code that a row of each kind must have in quarantine."""
SCHEMA_KINDS = ("empty_output", "whitespace_input", "control_characters", "control_tokens", "wrong_type")

_LONGEST_CHAIN = 3
"""An exact duplicate is one of a row that may be a near duplicate of a third: more there is not."""


class Counted(NamedTuple):
    """How many rows of a kind were found, and how many of its hard negatives were taken for one."""

    found: int
    rows: int
    false: int
    negatives: int

    @property
    def recall(self) -> float:
        """Share of the rows that were found; NaN without a row."""
        return _share(self.found, self.rows)

    @property
    def precision(self) -> float:
        """Precision against as many hard negatives as rows; NaN if nothing was found at all."""
        taken = _share(self.false, self.negatives)
        return _share(self.recall, self.recall + taken)


def add_up(counted: Iterable[Counted]) -> Counted:
    """Several kinds as one."""
    return Counted(*(sum(column) for column in zip(*counted, strict=True)))


def count_faults(truth: pl.DataFrame, quarantine: pl.DataFrame) -> dict[str, Counted]:
    """Counts each kind of :data:`CODES`.

    A row is found if its code is the kind's own. A hard negative counts as taken for a fault whatever its code is.

    Args:
        truth: `line` and `kind`.
        quarantine: `line` and `code`.
    """
    codes = {code: set(quarantine.filter(pl.col("code") == code)["line"]) for code in CODES.values()}
    taken = set(quarantine["line"])
    counted = {}
    for kind, code in CODES.items():
        rows, negatives = _lines(truth, [kind]), _lines(truth, [f"{HARD}{kind}"])
        counted[kind] = Counted(len(rows & codes[code]), len(rows), len(negatives & taken), len(negatives))
    return counted


def count_exact(truth: pl.DataFrame, duplicates: pl.DataFrame) -> Counted:
    """An exact duplicate is found if it and its original, or another exact duplicate of that, have the same row that is kept.

    Args:
        truth: `line`, `kind` and `of_line`, the line of the row that a row is made from.
        duplicates: `line`, `of_line` and `kind`.
    """
    exact = duplicates.filter(pl.col("kind") == "exact")
    return _count_together(truth, "exact_duplicate", ["exact_duplicate"], dict(exact.select("line", "of_line").iter_rows()))


def count_near(truth: pl.DataFrame, duplicates: pl.DataFrame, groups: pl.DataFrame) -> Counted:
    """A near duplicate is found if it shares a group with its original, or with another row made from that.

    A row that was removed is where the row is of which it is a duplicate.

    Args:
        truth, duplicates: as of :func:`count_exact`.
        groups: `line` and `group` of each row that was not removed.
    """
    of = dict(duplicates.select("line", "of_line").iter_rows())
    group_of: dict[int, str] = dict(groups.select("line", "group").iter_rows())
    every = {line: group_of.get(_kept(line, of)) for line in {*of, *group_of}}
    return _count_together(truth, "near_duplicate", sorted(PAIRED), {line: group for line, group in every.items() if group is not None})


def count_pairs(same: Sequence[bool], found: Collection[int]) -> Counted:
    """Counts pairs of texts: which are the same, and the places of those that were taken for the same."""
    hits = sum(same[place] for place in found)
    return Counted(hits, sum(same), len(found) - hits, len(same) - sum(same))


def read_truth(folder: Path) -> pl.DataFrame:
    """The generator's truth as `line`, `kind` and `of_line`: row n of the table is line n + 1."""
    number = pl.col("row_id", "of").str.strip_prefix("r").cast(pl.Int64) + 1
    return pl.read_parquet(folder / "truth.parquet").with_columns(number).select("kind", line="row_id", of_line="of")


def read_pairs(path: Path) -> tuple[list[str], list[str], list[bool]]:
    """Texts, the other text of each, and whether they mean the same."""
    pairs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [pair["text"] for pair in pairs], [pair["other"] for pair in pairs], [pair["same"] for pair in pairs]


def _count_together(truth: pl.DataFrame, kind: str, family: list[str], place_of: Mapping[int, object]) -> Counted:
    """A row counts as found if its original, or another row of the family made from that, is in the same place.

    `place_of` has a place by line. Lines that are not in it have one of their own, which is what a duplicate of it names: the line.
    """
    relatives: dict[int, set[int]] = {}
    for line, of_line in truth.filter(pl.col("kind").is_in(family)).select("line", "of_line").iter_rows():
        relatives.setdefault(of_line, {of_line}).add(line)

    def is_found(line: int, of_line: int) -> bool:
        others = relatives.get(of_line, {of_line}) - {line}
        return place_of.get(line, line) in {place_of.get(other, other) for other in others}

    found, negatives = (truth.filter(pl.col("kind") == name).select("line", "of_line").rows() for name in (kind, f"{HARD}{NEAR}"))
    return Counted(sum(is_found(*row) for row in found), len(found), sum(is_found(*row) for row in negatives), len(negatives))


NEAR = "near_duplicate"
"""The kind whose hard negatives stand for those of exact duplicates, too."""


def _kept(line: int, of: Mapping[int, int]) -> int:
    for _ in range(_LONGEST_CHAIN):
        line = of.get(line, line)
    return line


def _lines(truth: pl.DataFrame, kinds: list[str]) -> set[int]:
    return set(truth.filter(pl.col("kind").is_in(kinds))["line"])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
