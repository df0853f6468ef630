"""Shards on disk, and the rows that are taken from them again."""

from pathlib import Path
from random import Random

import polars as pl
import pytest

from tasks.data.spool import PART_ROWS, Spool


def spooled(folder: Path, ids: list[str], shard_rows: int, *, ordered: bool = True) -> Spool:
    """Shards of rows whose ids are in no order over all of them."""
    Random(1).shuffle(ids)
    table = pl.DataFrame({"row_id": ids, "text": [f"text of {row_id}" for row_id in ids], "line": range(len(ids))})
    spool = Spool(folder / "spool")
    for shard in table.iter_slices(shard_rows):
        spool.add(shard.sort("row_id") if ordered else shard)
    return spool


def numbered(rows: int) -> list[str]:
    return [f"{number:06}" for number in range(rows)]


@pytest.mark.parametrize("ordered", [True, False])
def test_wanted_rows_come_from_all_shards_sorted_and_with_what_else_is_known_of_them(tmp_path: Path, ordered: bool) -> None:
    spool = spooled(tmp_path, numbered(9_000), 2_500, ordered=ordered)
    wanted = pl.DataFrame({"row_id": ["008999", "000000", "004321", "nobody's"], "side": ["a", "b", "c", "d"]})
    found = spool.rows(wanted, ["text"])
    assert found.columns == ["row_id", "text", "side"]
    assert found.rows() == [("000000", "text of 000000", "b"), ("004321", "text of 004321", "c"), ("008999", "text of 008999", "a")]


def test_without_a_choice_all_columns_come(tmp_path: Path) -> None:
    assert spooled(tmp_path, numbered(10), 4).rows(pl.DataFrame({"row_id": ["000003"]})).columns == ["row_id", "text", "line"]


def test_parts_are_the_same_rows_so_many_at_a_time(tmp_path: Path) -> None:
    ids = numbered(PART_ROWS + 5_000)
    spool = spooled(tmp_path, ids, 20_000)
    wanted = pl.DataFrame({"row_id": ids[::-1]}).filter(pl.col("row_id") != "000007")
    parts = list(spool.parts(wanted, ["text"]))
    assert [part.height for part in parts] == [PART_ROWS, 4_999]
    assert pl.concat(parts).equals(spool.rows(wanted, ["text"]))


def test_no_rows_are_one_empty_part_with_all_columns(tmp_path: Path) -> None:
    nobody = pl.DataFrame(schema={"row_id": pl.String, "side": pl.String})
    (part,) = spooled(tmp_path, numbered(10), 4).parts(nobody)
    assert part.is_empty()
    assert part.columns == ["row_id", "text", "line", "side"]


def test_iteration_gives_the_shards_as_they_were_added(tmp_path: Path) -> None:
    spool = spooled(tmp_path, numbered(10), 4, ordered=False)
    assert [shard["line"].to_list() for shard in spool] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
