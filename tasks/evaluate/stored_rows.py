"""The rows of an evaluation as gates read them: what everybody scored on each, which rows belong together, and which slice they are in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.evaluate.outcomes import PREDICTIONS, Outcomes, per_row_correct
from tasks.files import sha256_json

SCORES = "scores.parquet"
CONTENDERS = ("base", "tuned", "champion")
_SLICE = "slice."


@dataclass(frozen=True)
class Scores:
    """Rows of an evaluation, or some of them, sorted by row id, so that their order in the files never matters.

    Attributes:
        frame: `row_id`, `cluster`, `CONTENDER.METRIC` columns, `slice.NAME` columns, `champion_saw` if there is a champion, and the texts
            `expected` and `text.CONTENDER` if predictions were read.
        fault: why the files contradict each other; null if they do not.
    """

    frame: pl.DataFrame
    fault: str | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.frame.height

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """Number of each row's cluster, in the order of the clusters' names."""
        return self.frame["cluster"].rank("dense").to_numpy().astype(np.int64) - 1

    @cached_property
    def grouped(self) -> bool:
        """Whether some rows belong together."""
        return self.frame["cluster"].n_unique() < self.rows

    def of(self, contender: str, metric: str) -> pl.Series | None:
        """A contender's values row by row, null where nothing was measured; null if nothing was on any row."""
        name = f"{contender}.{metric}"
        if name not in self.frame.columns or self.frame[name].null_count() == self.rows:
            return None
        return self.frame[name].cast(pl.Float64)

    def texts(self, contender: str) -> list[str] | None:
        """Answers of a contender, or the expected ones for `expected`."""
        name = contender if contender == "expected" else f"text.{contender}"
        return self.frame[name].to_list() if name in self.frame.columns else None

    def unseen_by_champion(self) -> "Scores":
        """The rows that the champion was not trained on."""
        return Scores(self.frame.filter(~pl.col("champion_saw")), self.fault) if "champion_saw" in self.frame.columns else self

    def slices(self, by: str) -> Mapping[str, int] | None:
        """Rows of each value of a slice, sorted by value; null if there is no such slice."""
        if f"{_SLICE}{by}" not in self.frame.columns:
            return None
        counted = self.frame.group_by(pl.col(f"{_SLICE}{by}").alias("value")).len().drop_nulls("value").sort("value")
        return {str(value): int(rows) for value, rows in counted.iter_rows()}

    def where(self, by: str, *values: str) -> "Scores":
        """The rows with one of these values of a slice."""
        return Scores(self.frame.filter(pl.col(f"{_SLICE}{by}").cast(pl.String).is_in(list(values))), self.fault)

    def answers_digest(self) -> str:
        """What was asked, expected and answered."""
        texts = [name for name in self.frame.columns if name == "expected" or name.startswith("text.")]
        return sha256_json([texts, *(self.frame[name].to_list() for name in ("row_id", *texts))])


def scores_of(outcomes: Outcomes) -> Scores:
    """Rows of which nothing is known but who had them right; each is a cluster of its own."""
    columns: dict[str, object] = {f"{name}.accuracy": getattr(outcomes, name) for name in CONTENDERS if getattr(outcomes, name) is not None}
    if outcomes.champion is not None:
        columns["champion_saw"] = outcomes.champion_saw
    if len({len(values) for values in columns.values()}) > 1:  # type: ignore[arg-type]
        return Scores(pl.DataFrame({"row_id": [], "cluster": []}), "the contenders have outcomes of different numbers of rows")
    ids = [f"{at:012}" for at in range(len(outcomes.tuned))]
    return Scores(pl.DataFrame({"row_id": ids, "cluster": ids, **columns}))


def read_scores(folder: Path) -> Scores:
    """Reads what an evaluation stored. Without `scores.parquet`, as of evaluations before it was written, there are accuracies only."""
    predictions = pl.read_parquet(folder / PREDICTIONS)
    expected = predictions["expected"].to_list()
    answered = [name for name in CONTENDERS if name in predictions.columns]
    frame = predictions.rename({name: f"text.{name}" for name in answered}).with_columns(
        pl.Series(f"{name}.accuracy", per_row_correct(expected, predictions[name].to_list())) for name in answered
    )
    if not (folder / SCORES).is_file():
        return Scores(frame.with_columns(cluster=pl.col("row_id").cast(pl.String)).sort("row_id"))
    return _joined(frame, pl.read_parquet(folder / SCORES))


def _joined(frame: pl.DataFrame, scores: pl.DataFrame) -> Scores:
    said = {name: scores[name] for name in scores.columns if name.endswith(".accuracy")}
    scores = scores.drop(*said, "champion_saw", strict=False)
    both = frame.join(scores, on="row_id", how="inner").sort("row_id")
    if not frame.height == scores.height == both.height:
        return Scores(both, f"there are predictions of {frame.height} rows and scores of {scores.height}, and {both.height} are in both")
    fault = _contradiction(frame.select("row_id", *(name for name in said if name in frame.columns)), said, scores["row_id"])
    cluster = pl.col("cluster").cast(pl.String).fill_null(pl.col("row_id").cast(pl.String))
    return Scores(both.with_columns(cluster=cluster), fault)


def _contradiction(counted: pl.DataFrame, said: Mapping[str, pl.Series], row_ids: pl.Series) -> str | None:
    """Accuracy is what the predictions say; stored numbers that say otherwise are not to be trusted."""
    both = counted.join(pl.DataFrame({"row_id": row_ids, **{f"said {name}": values for name, values in said.items()}}), on="row_id")
    for name in counted.columns[1:]:
        if not (both[f"said {name}"].cast(pl.Float64) == both[name].cast(pl.Float64)).fill_null(False).all():
            return f"the stored scores of {name} are not those of the predictions"
    return None
