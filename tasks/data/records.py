"""The raw record that every reader makes, and how those that are columns become records."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline_config.errors import DataError

BATCH = 256
"""Rows of a Parquet file decoded at a time."""


class SourceRecord(NamedTuple):
    """One raw record, or why this one cannot be read; exactly one of `record` and `fault` is given.

    `file` is the name relative to the location, `line` the line of a text file or the row of a Parquet or JSON array file, from 1.
    """

    file: str
    line: int
    record: Mapping[str, object] | None = None
    fault: str | None = None


def read_batches(name: str, batches: Iterable[Any]) -> Iterator[SourceRecord]:
    """Records of Arrow batches, numbered from 1."""
    number = 0
    for batch in batches:
        for record, fault in _decoded_rows(batch):
            number += 1
            yield SourceRecord(name, number, record, fault)


def _decoded_rows(batch: Any) -> list[tuple[Mapping[str, object] | None, str | None]]:
    """Row by row only where the batch fails as a whole, so that one broken text costs one row."""
    try:
        return [(record, None) for record in batch.to_pylist()]
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            # The library's message may quote the value.
            fault = "a text is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"a value cannot be read ({type(error).__name__})"
            return [(None, fault)]
        return [row for index in range(batch.num_rows) for row in _decoded_rows(batch.slice(index, 1))]


def no_rows(where: str) -> DataError:
    """The error for a source that has none."""
    return DataError("the file has no rows", where=where, expected="at least one row")
