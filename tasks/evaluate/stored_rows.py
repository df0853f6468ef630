"""The rows of an evaluation as gates read them: what everybody scored on each, which rows belong together, and which slice they are in."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.evaluate.outcomes import PREDICTIONS, Outcomes, per_row_correct
from tasks.evaluate.scores import SCORES
from tasks.files import sha256_json

CONTENDERS = ("base", "tuned", "champion")
_SLICE = "slice."


class Column(NamedTuple):
    """One number a row, 0 where nothing was measured; it may be NaN or infinite where something was."""

    values: NDArray[np.float64]
    measured: NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Rows of an evaluation, or some of them, in the order of their ids: that of the files never matters.

    Attributes:
        clusters: number of each row's cluster, in the order of the clusters' names.
        numbers: by `CONTENDER.METRIC`.
        answers: texts by contender, and the expected ones.
        divided: values by the name of a slice, null where a row has none.
        saw: rows that the champion was trained on; null without a champion.
        row_ids: null where only outcomes are known.
        fault: why the files contradict each other; null if they do not.
    """

    clusters: NDArray[np.int64]
    numbers: Mapping[str, Column]
    answers: Mapping[str, NDArray[np.object_]]
    divided: Mapping[str, NDArray[np.object_]]
    saw: NDArray[np.bool_] | None = None
    row_ids: NDArray[np.object_] | None = None
    fault: str | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.clusters)

    def of(self, contender: str, metric: str) -> Column | None:
        """A contender's values row by row; null if nothing was measured on any row."""
        found = self.numbers.get(f"{contender}.{metric}")
        return found if found is not None and found.measured.any() else None

    def texts(self, contender: str) -> list[str] | None:
        """Answers of a contender, or the expected ones for `expected`."""
        return list(self.answers[contender]) if contender in self.answers else None

    def unseen_by_champion(self) -> "Scores":
        """The rows that the champion was not trained on."""
        return self if self.saw is None or not self.saw.any() else self.some(~self.saw)

    def slices(self, by: str) -> Mapping[str, int] | None:
        """Rows of each value of a slice, sorted by value; null if there is no such slice."""
        if by not in self.divided:
            return None
        counted = Counter(value for value in self.divided[by] if value is not None)
        return {value: counted[value] for value in sorted(counted)}

    def where(self, by: str, *values: str) -> "Scores":
        """The rows with one of these values of a slice."""
        return self.some(np.isin(self.divided[by].astype(str), values) & (self.divided[by] != np.array(None)))

    def answers_digest(self) -> str:
        """What was asked, expected and answered."""
        ids = [] if self.row_ids is None else list(self.row_ids)
        return sha256_json([ids, *([name, list(self.answers[name])] for name in sorted(self.answers))])

    def some(self, kept: NDArray[np.bool_]) -> "Scores":
        """Those of the rows that are marked."""
        return Scores(
            self.clusters[kept],
            {name: Column(column.values[kept], column.measured[kept]) for name, column in self.numbers.items()},
            {name: texts[kept] for name, texts in self.answers.items()},
            {name: values[kept] for name, values in self.divided.items()},
            None if self.saw is None else self.saw[kept],
            None if self.row_ids is None else self.row_ids[kept],
            self.fault,
        )


def scores_of(outcomes: Outcomes) -> Scores:
    """Rows of which nothing is known but who had them right; each is a cluster of its own."""
    known = {name: getattr(outcomes, name) for name in CONTENDERS if getattr(outcomes, name) is not None}
    rows = len(outcomes.tuned)
    saw = np.array(outcomes.champion_saw, dtype=np.bool_) if outcomes.champion is not None else None
    if {len(values) for values in known.values()} | ({len(saw)} if saw is not None else set()) != {rows}:
        return Scores(np.arange(0), {}, {}, {}, fault="the contenders have outcomes of different numbers of rows")
    numbers = {f"{name}.accuracy": _complete(values) for name, values in known.items()}
    return Scores(np.arange(rows), numbers, {}, {}, saw)


def read_scores(folder: Path) -> Scores:
    """Reads what an evaluation stored. Without `scores.parquet`, as of evaluations before it was written, there are accuracies only."""
    predictions = pl.read_parquet(folder / PREDICTIONS).sort("row_id")
    alone = predictions.select("row_id", cluster=pl.col("row_id").cast(pl.String))
    scores = pl.read_parquet(folder / SCORES).sort("row_id") if (folder / SCORES).is_file() else alone
    fault = None
    if not predictions["row_id"].equals(scores["row_id"]):
        fault = f"there are predictions of {predictions.height} rows and scores of {scores.height}, and they are not the same rows"
        scores = alone
    expected = predictions["expected"].to_list()
    answered = [name for name in CONTENDERS if name in predictions.columns]
    numbers = {name: _as_stored(scores[name]) for name in scores.columns if name.startswith(tuple(f"{who}." for who in CONTENDERS))}
    right = {f"{name}.accuracy": _complete(per_row_correct(expected, predictions[name].to_list())) for name in answered}
    return Scores(
        clusters=scores["cluster"].cast(pl.String).fill_null(scores["row_id"].cast(pl.String)).rank("dense").to_numpy().astype(np.int64)
        - 1,
        numbers=numbers | right,
        answers={name: _as_objects(predictions[name].to_list()) for name in ("expected", *answered)},
        divided={
            name.removeprefix(_SLICE): _as_objects(scores[name].cast(pl.String).to_list())
            for name in scores.columns
            if name.startswith(_SLICE)
        },
        saw=predictions["champion_saw"].to_numpy().astype(np.bool_) if "champion_saw" in predictions.columns else None,
        row_ids=_as_objects(predictions["row_id"].to_list()),
        fault=fault or _contradiction(numbers, right),
    )


def _contradiction(said: Mapping[str, Column], counted: Mapping[str, Column]) -> str | None:
    """Accuracy is what the predictions say; stored numbers that say otherwise are not to be trusted."""
    for name, column in counted.items():
        if name in said and not (said[name].measured.all() and (said[name].values == column.values).all()):
            return f"the stored scores {name} are not those of the predictions"
    return None


def _complete(values: Any) -> Column:
    numbers = np.asarray(values, dtype=np.float64)
    return Column(numbers, np.ones(len(numbers), dtype=np.bool_))


def _as_stored(values: pl.Series) -> Column:
    return Column(values.cast(pl.Float64).fill_null(0.0).to_numpy(), values.is_not_null().to_numpy())


def _as_objects(values: list[Any]) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=np.object_)
    found[:] = values
    return found
