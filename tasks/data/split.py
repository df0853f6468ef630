"""Divides rows into test, validation and train, the same way whatever else is in the table.

A group is held out if its keyed hash, read as a number in [0, 1), lies below the fraction. Adding rows therefore moves no group, with one
exception: a label that would have too few groups on a side gets the next ones in hash order. Groups with a side from an earlier run keep it
(`tasks.data.assignments`).
"""

import hmac

import polars as pl

from pipeline_config.data import DataConfig
from tasks.data.assignments import PRECEDENCE
from tasks.data.quarantine import Quarantine, faults_of
from tasks.nearness.near import near_pairs_between

SIDES = ("train", "validation", "test")
SPLIT = pl.Schema({"row_id": pl.String(), "group": pl.String(), "text": pl.String(), "side": pl.String(), "kept": pl.Boolean()})
"""Columns of `split.parquet`; `kept` is false for rows that a row limit set aside."""

_GROUPS_LEFT = {"test": 2, "validation": 1}
"""Groups of a label that must not be held out; a label with more of them has at least one that is."""


def divide(index: pl.DataFrame, data: DataConfig, recorded: pl.DataFrame, benchmark: pl.DataFrame, quarantine: Quarantine) -> pl.DataFrame:
    """Adds `side`. First the test rows, then validation among the rest; what leaks from a side goes to quarantine at once.

    Args:
        index: rows with `row_id`, `from_test`, `file`, `line`, `text`, `normal`, `group` and `label`.
        recorded: sides of texts in earlier runs (`tasks.data.assignments.ASSIGNMENTS`).
        benchmark: rows, with the same keys, that must not be trained on.
    """
    split, table = data.split, with_recorded(index, recorded)
    if data.source.test_path:
        test, rest = table.filter("from_test"), table.filter(~pl.col("from_test"))
        rest = quarantine.take(rest, find_former_test_rows(rest))
    else:
        test, rest = _held_out(table, "test", split.test_fraction, split.key)
    # Near rows are of one group already, unless the test rows have a file of their own or groups are the user's.
    rest = quarantine.take(
        rest, find_leaks(rest, test, "test", split.near_jaccard if data.source.test_path or split.group_column else None)
    )
    rest = quarantine.take(rest, find_benchmark_leaks(rest, benchmark, split.near_jaccard))
    validation, train = _held_out(rest, "validation", split.validation_fraction, split.key)
    train = quarantine.take(train, find_leaks(train, validation, "validation", split.near_jaccard if split.group_column else None))
    sides = zip(SIDES, (train, validation, test), strict=True)
    return pl.concat([part.with_columns(side=pl.lit(side)) for side, part in sides])


def with_recorded(index: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Adds `recorded`, the side of a row's group in earlier runs, null for a new group."""
    ranks = {side: rank for rank, side in enumerate(PRECEDENCE)}
    known = recorded.select("text", rank=pl.col("side").replace_strict(ranks, return_dtype=pl.Int8))
    best = index.select("text", "group").join(known, on="text", how="inner").group_by("group").agg(pl.col("rank").min())
    sides = best.select("group", recorded=pl.col("rank").replace_strict(dict(enumerate(PRECEDENCE)), return_dtype=pl.String))
    return index.join(sides, on="group", how="left", maintain_order="left")


def hold_out(groups: pl.DataFrame, fraction: float, key: str, *, purpose: str) -> pl.Series:
    """Chooses the groups to hold out, for each label on its own.

    Args:
        groups: each `group` with its `label`, and in `held` whether an earlier run held it out; null if none has had it.
        fraction: share of the hash's range that is held out.
        key: key of the hash.
        purpose: `test` or `validation`; their hashes are independent.

    Returns:
        The groups held out, in no order. A group that an earlier run had stays where it was.
    """
    shares = pl.Series("share", [hash_share(key, purpose, group) for group in groups["group"]], dtype=pl.Float64)
    is_free = pl.col("held").is_null()
    natural = (is_free & (pl.col("share") < fraction)).sum()
    already = pl.col("held").fill_null(False).sum()
    most = pl.len().cast(pl.Int64) - _GROUPS_LEFT[purpose]
    wanted = (already + natural).cast(pl.Int64)
    wanted = pl.when(most > 0).then(pl.min_horizontal(pl.max_horizontal(wanted, 1), most)).otherwise(wanted) - already
    ordered = groups.with_columns(shares).sort("share", "group")
    counted = ordered.with_columns(turn=pl.int_range(1, pl.len() + 1).over("label", is_free), wanted=wanted.over("label"))
    return counted.filter(pl.col("held").fill_null(False) | (is_free & (pl.col("turn") <= pl.col("wanted"))))["group"]


def hash_share(key: str, purpose: str, name: str) -> float:
    """HMAC-SHA-256 of a name as a number in [0, 1)."""
    digest = hmac.digest(key.encode(), f"{purpose}:{name}".encode(), "sha256")
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # a float holds 53 bits exactly; 64 could round up to 1


def find_former_test_rows(table: pl.DataFrame) -> pl.DataFrame:
    """Finds rows whose group had a test row in an earlier run, though the test file does not have it now."""
    former = table.filter(pl.col("recorded") == "test")
    return faults_of([(row_id, "LEAK_GROUP", "its group had a test row in an earlier run") for row_id in former["row_id"]])


def find_leaks(table: pl.DataFrame, held: pl.DataFrame, side: str, near_jaccard: float | None) -> pl.DataFrame:
    """Finds rows that say the same as a held-out row, nearly the same, or belong to its group.

    Args:
        table: rows that could be trained on, with the keys of `tasks.data.deduplicate`.
        held: rows held out.
        side: what they are held out for, for the reason.
        near_jaccard: similarity of the texts from which on a row is too near (`tasks.nearness.near`); null: near rows are not looked for.

    Returns:
        Row id, code and reason (`tasks.data.quarantine.FAULTS`).
    """
    exact = _repetitions(table, held, "LEAK_EXACT", f"a {side} row")
    left = table.join(exact, on="row_id", how="anti")
    kin = left.join(held.select("group").unique(), on="group", how="semi")
    group = faults_of([(row_id, "LEAK_GROUP", f"its group has a {side} row") for row_id in kin["row_id"]])
    left = left.join(kin, on="row_id", how="anti")
    return pl.concat([exact, group, _near_repetitions(left, held, near_jaccard, "LEAK_NEAR", f"a {side} row")])


def find_benchmark_leaks(table: pl.DataFrame, benchmark: pl.DataFrame, near_jaccard: float | None) -> pl.DataFrame:
    """Finds rows that say the same, or nearly the same, as a row of a benchmark, as :func:`find_leaks` does."""
    exact = _repetitions(table, benchmark, "LEAK_BENCHMARK", "a row of a benchmark")
    left = table.join(exact, on="row_id", how="anti")
    return pl.concat([exact, _near_repetitions(left, benchmark, near_jaccard, "LEAK_BENCHMARK", "a row of a benchmark")])


def _repetitions(table: pl.DataFrame, held: pl.DataFrame, code: str, what: str) -> pl.DataFrame:
    first = held.sort("row_id").unique("text", keep="first").select("text", held_file="file", held_line="line")
    same = table.join(first, on="text", how="inner").select("row_id", "held_file", "held_line")
    return faults_of([(row_id, code, f"says the same as {file}, line {line}, {what}") for row_id, file, line in same.iter_rows()])


def _near_repetitions(table: pl.DataFrame, held: pl.DataFrame, jaccard: float | None, code: str, what: str) -> pl.DataFrame:
    if jaccard is None or held.is_empty():
        return faults_of([])
    ids, places = table["row_id"], held.select("file", "line")
    reason = "nearly says the same as {}, line {}, {} (Jaccard {:.2f})"
    matches = near_pairs_between(table["normal"], held["normal"], jaccard=jaccard)
    return faults_of([(ids[row], code, reason.format(*places.row(other), what, found)) for row, other, found in matches.iter_rows()])


def limit_sides(split: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """Adds `kept`, by the limits of each side. Validation keeps its proportion to a limited training side."""
    train, fraction = data.max_train_rows, data.split.validation_fraction
    validation = None if train is None else max(1, round(train * fraction / (1 - fraction)))
    limits = {"train": train, "validation": validation, "test": data.max_test_rows}
    parts = [split.filter(pl.col("side") == side) for side in SIDES]
    kept = [part.with_columns(kept=choose_rows(part, limits[side], data.split.key)) for side, part in zip(SIDES, parts, strict=True)]
    return pl.concat(kept).sort("row_id")


def choose_rows(table: pl.DataFrame, limit: int | None, key: str) -> pl.Series:
    """Which rows to keep, at most `limit`: labels take turns, each in hash order, so that other rows change as little as possible."""
    if limit is None or table.height <= limit:
        return pl.repeat(True, table.height, eager=True)
    order = pl.Series([hash_share(key, "order", text) for text in table["text"]], dtype=pl.Float64)
    ranked = table.select("row_id", "label", order=order).sort("order", "row_id").with_columns(turn=pl.int_range(pl.len()).over("label"))
    chosen = ranked.sort("turn", "order", "row_id").head(limit)
    return table["row_id"].is_in(chosen["row_id"].to_list())


def _held_out(table: pl.DataFrame, purpose: str, fraction: float, key: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows held out for a purpose, and the others. A group counts for one label only: the smallest of its rows'."""
    recorded = pl.col("recorded").first()
    homes = table.group_by("group").agg(pl.col("label").min(), held=recorded == purpose)
    held = pl.DataFrame({"group": hold_out(homes, fraction, key, purpose=purpose)})
    return tuple(table.join(held, on="group", how=how, maintain_order="left") for how in ("semi", "anti"))  # type: ignore[return-value]
