"""Who had which test row right: what accuracy counts, and what comparisons pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Outcomes:
    """Right or wrong, row by row, in the same order for all.

    Attributes:
        champion: null if there is no champion, or it gave no answers.
        champion_saw: rows that the champion was trained or validated on; a comparison with it leaves them out.
    """

    base: tuple[bool, ...]
    tuned: tuple[bool, ...]
    champion: tuple[bool, ...] | None
    champion_saw: tuple[bool, ...]

    def unseen_by_champion(self) -> tuple[list[bool], list[bool]]:
        """Outcomes of tuned and champion on the rows that the champion never saw; empty without a champion."""
        if self.champion is None:
            return [], []
        kept = [at for at, saw in enumerate(self.champion_saw) if not saw]
        return [self.tuned[at] for at in kept], [self.champion[at] for at in kept]


def per_row_correct(expected: Sequence[str], answers: Sequence[str]) -> list[bool]:
    """Whether each answer is the expected one: the whole text without surrounding white space, case-sensitive.

    Raises:
        ValueError: not as many answers as expectations.
    """
    return [answer.strip() == wanted.strip() for wanted, answer in zip(expected, answers, strict=True)]


def read_outcomes(folder: Path) -> Outcomes:
    """Outcomes of the stored predictions of an evaluation."""
    frame = pl.read_parquet(folder / PREDICTIONS)
    expected = frame["expected"].to_list()

    def of(name: str) -> tuple[bool, ...]:
        return tuple(per_row_correct(expected, frame[name].to_list()))

    answered = "champion" in frame.columns
    return Outcomes(
        base=of("base"),
        tuned=of("tuned"),
        champion=of("champion") if answered else None,
        champion_saw=tuple(frame["champion_saw"].to_list()) if answered else (),
    )
