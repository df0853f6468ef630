"""Divides groups of rows into test, validation and train, the same way whatever else is in the table.

A group is held out if its keyed hash, read as a number in [0, 1), lies below the fraction. Adding rows therefore moves no group, with one
exception: a label that would have too few groups on a side gets the next ones in hash order.
"""

import hmac
from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from pipeline_config.data import SplitConfig
from tasks.data.near import near_pairs_between
from tasks.data.quarantine import faults_of

SPLIT = pl.Schema({"row_id": pl.String(), "group": pl.String(), "side": pl.String(), "kept": pl.Boolean()})
"""Columns of `split.parquet`; `kept` is false for rows that a row limit set aside."""


def hold_out_test(table: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Which rows are test rows, when there is no test file. A label with three groups or more has one there, and two that are not."""
    return _members(table, hold_out(_home_labels(table), split.test_fraction, split.key, purpose="test", keep=2))


def hold_out_validation(table: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Which of the remaining rows are for validation. A label with two groups or more has one there, and one that is not."""
    return _members(table, hold_out(_home_labels(table), split.validation_fraction, split.key, purpose="validation", keep=1))


def hold_out(groups: Iterable[tuple[str, str]], fraction: float, key: str, *, purpose: str, keep: int) -> set[str]:
    """Chooses the groups to hold out.

    Args:
        groups: each group with its label.
        fraction: share of the hash's range that is held out.
        key: key of the hash.
        purpose: hashes for different purposes are independent.
        keep: groups of a label that must be left. A label with more of them has at least one held out.
    """
    shares: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for group, label in groups:
        shares[label].append((hash_share(key, purpose, group), group))
    held: set[str] = set()
    for members in shares.values():
        count = sum(share < fraction for share, _ in members)
        if len(members) > keep:
            count = min(max(count, 1), len(members) - keep)
        held.update(group for _, group in sorted(members)[:count])
    return held


def hash_share(key: str, purpose: str, name: str) -> float:
    """HMAC-SHA-256 of a name as a number in [0, 1)."""
    digest = hmac.digest(key.encode(), f"{purpose}:{name}".encode(), "sha256")
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # a float holds 53 bits exactly; 64 could round up to 1


def find_leaks(table: pl.DataFrame, held: pl.DataFrame, side: str) -> pl.DataFrame:
    """Finds rows that say the same as a held-out row, or belong to its group.

    Args:
        table: rows that could be trained on, with the keys of `tasks.data.deduplicate`.
        held: rows held out.
        side: what they are held out for, for the reason.

    Returns:
        Row id, code and reason (`tasks.data.quarantine.FAULTS`).
    """
    first = held.sort("row_id").unique("text", keep="first").select("text", held_file="file", held_line="line")
    same = table.join(first, on="text", how="inner").select("row_id", "held_file", "held_line")
    exact = [(row_id, "LEAK_EXACT", f"says the same as {file}, line {line}, a {side} row") for row_id, file, line in same.iter_rows()]
    kin = table.join(held.select("group").unique(), on="group", how="semi").join(same, on="row_id", how="anti")
    return faults_of(exact + [(row_id, "LEAK_GROUP", f"its group has a {side} row") for row_id in kin["row_id"]])


def find_near_leaks(table: pl.DataFrame, held: pl.DataFrame, side: str, jaccard: float) -> pl.DataFrame:
    """Finds rows that say nearly the same as a held-out row (`tasks.data.near`).

    Args:
        table: rows that could be trained on, with the keys of `tasks.data.deduplicate`.
        held: rows held out.
        side: what they are held out for, for the reason.
        jaccard: similarity of the texts from which on a row is too near.

    Returns:
        Row id, code and reason (`tasks.data.quarantine.FAULTS`).
    """
    ids, places = table["row_id"], held.select("file", "line").rows()
    matches = near_pairs_between(table["normal"], held["normal"], jaccard=jaccard)
    return faults_of(
        [
            (ids[row], "LEAK_NEAR", "nearly says the same as {}, line {}, a {} row (Jaccard {:.2f})".format(*places[other], side, found))
            for row, other, found in matches.iter_rows()
        ]
    )


def choose_rows(table: pl.DataFrame, limit: int | None, key: str) -> pl.Series:
    """Which rows to keep, at most `limit`: labels take turns, each in hash order, so that other rows change as little as possible."""
    if limit is None or table.height <= limit:
        return pl.repeat(True, table.height, eager=True)
    order = pl.Series([hash_share(key, "order", text) for text in table["text"]], dtype=pl.Float64)
    ranked = table.select("row_id", "label", order=order).sort("order", "row_id").with_columns(turn=pl.int_range(pl.len()).over("label"))
    chosen = ranked.sort("turn", "order", "row_id").head(limit)
    return table["row_id"].is_in(chosen["row_id"].to_list())


def _home_labels(table: pl.DataFrame) -> list[tuple[str, str]]:
    """Each group with one label, so that every group counts for one label only: the first of its answers in alphabetical order."""
    return list(table.group_by("group").agg(pl.col("label").min()).iter_rows())


def _members(table: pl.DataFrame, groups: set[str]) -> pl.Series:
    return table["group"].is_in(list(groups))
