"""Rows on their way through preparation: shards on disk, so that memory holds one of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from tasks.data.labels import is_selected, require_known

PART_ROWS = 50_000
"""Rows that :meth:`Spool.parts` gives at a time."""

_GROUP_ROWS = 2_000
"""Rows of a shard between which a reader can skip."""


class Spool:
    """Shards of a table below a folder, in order."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._paths: list[Path] = []

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (pl.read_parquet(path) for path in self._paths)

    def add(self, shard: pl.DataFrame) -> None:
        """Writes one more shard. If it is sorted by row id, a few rows are found without reading it whole."""
        path = self._folder / f"{len(self._paths):05}.parquet"
        shard.write_parquet(path, compression="lz4", row_group_size=_GROUP_ROWS)
        self._paths.append(path)

    def rows(self, ids: pl.DataFrame, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of all shards that have one of the ids, with the columns of `ids` beside their own, sorted by row id.

        Args:
            ids: `row_id`, and whatever else is known of these rows.
            columns: which of the rows' own are wanted beside `row_id`; null: all.
        """
        first, last = (pl.lit(bound, dtype=pl.String) for bound in (ids["row_id"].min(), ids["row_id"].max()))
        wanted = pl.all() if columns is None else pl.col("row_id", *columns)
        within = (pl.scan_parquet(path).filter(pl.col("row_id").is_between(first, last)).select(wanted) for path in self._paths)
        return pl.concat([shard.collect().join(ids, on="row_id", how="inner") for shard in within]).sort("row_id")

    def parts(self, ids: pl.DataFrame, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """As :meth:`rows`, at most :data:`PART_ROWS` at a time: memory never holds all texts of a large table. No rows: one empty part."""
        ordered = ids.sort("row_id")
        for start in range(0, max(ids.height, 1), PART_ROWS):
            yield self.rows(ordered[start : start + PART_ROWS], columns)


class SourceRows:
    """The rows of a source, spooled, and what has to be known of all of them before one can be judged.

    `read` counts all rows, `unselected` those whose answer is not wanted: they are not spooled.
    """

    def __init__(self, shards: Iterable[pl.DataFrame], wanted: Sequence[str], folder: Path) -> None:
        """Reads a source to its end.

        Raises:
            DataError: see `tasks.data.sources.Source.shards`; or no row has a wanted answer.
        """
        self.spool, self.read, self.unselected = Spool(folder), 0, 0
        instructions: set[str] = set()
        answers: set[str] = set()
        for shard in shards:
            selected = shard.filter(is_selected(wanted))
            self.spool.add(selected)
            self.read += shard.height
            self.unselected += shard.height - selected.height
            instructions.update(shard["instruction"].drop_nulls().unique().head(2))
            if wanted:
                answers.update(shard.filter(pl.col("fault").is_null())["output"].drop_nulls().unique())
        require_known(wanted, answers)
        self.one_instruction = len(instructions) <= 1
