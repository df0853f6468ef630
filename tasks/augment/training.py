"""The training rows that may have children: all but the canaries. Memory holds an index; chats are read where they are wanted."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from tasks.artifacts import PreparedData
from tasks.augment.accept import prompt_key
from tasks.augment.neighbours import REFERENCES
from tasks.augment.requests import compared_text
from tasks.rows import BENCHMARK_FILE, SCHEMA, Row, answer_of, read_rows, rows_in

FILE = "train.parquet"
_PART = 1 << 14


class TrainingRows:
    """What every training row is called and what its label is.

    Attributes:
        row_ids: in the order of the file.
        labels: their answers; an empty text for all where answers are free text.
        keys: of the prompts of all rows (`tasks.augment.accept.prompt_key`).
    """

    def __init__(self, prepared: PreparedData) -> None:
        """Reads the file once."""
        self._file = pl.scan_parquet(prepared.folder / FILE)
        self._count = self._file.select(pl.len()).collect().item() - prepared.canaries
        self.row_ids, self.labels, self.keys = list[str](), list[str](), set[int]()
        for part in self.parts():
            for row in rows_in(part):
                self.row_ids.append(row["row_id"])
                self.labels.append(answer_of(row) if prepared.labels is not None else "")
                self.keys.add(prompt_key(row["messages"]))

    def parts(self) -> Iterator[pl.DataFrame]:
        """All of them, one part after another."""
        for start in range(0, self._count, _PART):
            yield self._slice(start, min(_PART, self._count - start))

    def canaries(self) -> pl.DataFrame:
        """The rows behind all others."""
        return self._slice(self._count, None)

    def read(self, places: Sequence[int]) -> list[Row]:
        """The rows at these places, in ascending order; one may be there several times."""
        if not places:
            return []
        part = self._slice(places[0], places[-1] + 1 - places[0])
        return rows_in(part[[place - places[0] for place in places]])

    def references(self, seed: int) -> tuple[list[str], list[str]]:
        """Texts and labels of rows that stand for all: labels take turns, each in the order of a keyed hash."""
        chosen = self._chosen(seed)
        texts = [
            compared_text(row["messages"])
            for start, part in zip(range(0, self._count, _PART), self.parts(), strict=True)
            for place, row in enumerate(rows_in(part), start=start)
            if place in chosen
        ]
        return texts, [self.labels[place] for place in sorted(chosen)]

    def _chosen(self, seed: int) -> set[int]:
        if self._count <= REFERENCES:
            return set(range(self._count))
        order = [hashlib.sha256(f"{seed} {row_id}".encode()).digest() for row_id in self.row_ids]
        table = pl.DataFrame({"order": order, "label": self.labels}).with_row_index("place").sort("order", "place")
        return set(table.with_columns(turn=pl.int_range(pl.len()).over("label")).sort("turn", "order")["place"].head(REFERENCES))

    def _slice(self, start: int, length: int | None) -> pl.DataFrame:
        return self._file.slice(start, length).select(*SCHEMA).collect()


def held_out_texts(folder: Path) -> list[str]:
    """What validation and test rows say."""
    return [compared_text(row["messages"]) for side in ("validation", "test") for row in read_rows(folder / f"{side}.parquet")]


def benchmark_texts(folder: Path) -> list[str]:
    """What rows of benchmarks say that must not be trained on; nothing where there are none."""
    path = folder / BENCHMARK_FILE
    return pl.read_parquet(path)["normal"].to_list() if path.is_file() else []
