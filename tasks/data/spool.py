"""Rows on their way through preparation: shards on disk, so that memory holds one of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from tasks.data.labels import is_selected, require_known


class Spool:
    """Shards of a table below a folder, in order."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._paths: list[Path] = []

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (pl.read_parquet(path) for path in self._paths)

    def add(self, shard: pl.DataFrame) -> None:
        """Writes one more shard."""
        path = self._folder / f"{len(self._paths):05}.parquet"
        shard.write_parquet(path, compression="lz4")
        self._paths.append(path)

    def rows(self, ids: pl.DataFrame, *, leave_out: Sequence[str] = ()) -> pl.DataFrame:
        """The rows of all shards that have one of the ids, with the columns of `ids` beside their own, sorted by row id.

        Args:
            ids: `row_id`, and whatever else is known of these rows.
            leave_out: columns that are not wanted.
        """
        found = [shard.drop(leave_out).join(ids, on="row_id", how="inner") for shard in self]
        return pl.concat(found).sort("row_id")


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
