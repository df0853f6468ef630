"""Figures of parts of the test rows: by label, by length, and by whatever column was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tasks.report.figures import metric_name, value_text
from tasks.report.material import Answers
from tasks.statistics import Interval, wilson_interval

SHOWN = 8
"""So many values of a slice are seen at once, the worst of the tuned model; the others are folded away."""
_FEW_ROWS = 10
_PREFIX = "slice."


@dataclass(frozen=True)
class SliceRow:
    """One value, masked: rows of the test set that have it, and each contender's mean over them, as text.

    `place` is the tuned model's and `interval` the start and width of its interval, in percent of 0 to 1; null where a score is no share.
    """

    name: str
    rows: int
    figures: tuple[str, ...]
    place: float | None
    interval: tuple[float, float] | None
    few: bool


@dataclass(frozen=True)
class Slices:
    """One way to divide the rows. `contenders` name the figures of each row, which are means of `metric`; the worst value comes first."""

    name: str
    metric: str
    contenders: tuple[str, ...]
    worst: tuple[SliceRow, ...]
    others: tuple[SliceRow, ...]

    @property
    def shares(self) -> bool:
        """Whether the rows have a place between 0 and 1."""
        return any(row.place is not None for row in (*self.worst, *self.others))


def slices_of(answers: Answers, *, labelled: bool) -> list[Slices]:
    """Every division with more than one value. Where none was stored and answers are labels, that by label."""
    frame = answers.frame
    named = {column.removeprefix(_PREFIX): column for column in frame.columns if column.startswith(_PREFIX)}
    if labelled and "label" not in named:
        named = {"label": "expected", **named}
    divided = [_divided(answers, name, frame[column]) for name, column in named.items()]
    return [each for each in divided if len(each.worst) > 1]


def _divided(answers: Answers, name: str, values: pl.Series) -> Slices:
    scores = {who: answers.scores(who) for who in answers.contenders}
    frame = pl.DataFrame({"value": values.cast(pl.String), **scores}).drop_nulls("value")
    means = frame.group_by("value").agg(pl.len().alias("rows"), *(pl.col(who).mean() for who in scores))
    exact = answers.exact
    rows = [_row(dict(found), answers.contenders, exact) for found in means.sort(["tuned", "value"], nulls_last=True).iter_rows(named=True)]
    return Slices(name, metric_name(answers.metric), answers.contenders, tuple(rows[:SHOWN]), tuple(rows[SHOWN:]))


def _row(found: dict[str, object], contenders: Sequence[str], exact: bool) -> SliceRow:
    from tasks.masking import mask_text  # it brings detect-secrets
    from tasks.screening import KINDS

    count, tuned = int(str(found["rows"])), found["tuned"]
    interval: Interval | None = None
    if exact and isinstance(tuned, float):
        interval = wilson_interval(round(tuned * count), count)
    figures = tuple(value_text(value if isinstance(value, float) else None) for value in (found[who] for who in contenders))
    return SliceRow(
        name=mask_text(str(found["value"]), KINDS).text,
        rows=count,
        figures=figures,
        place=100 * tuned if interval is not None and isinstance(tuned, float) else None,
        interval=(100 * interval[0], 100 * (interval[1] - interval[0])) if interval else None,
        few=count < _FEW_ROWS,
    )
