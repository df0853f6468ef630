"""Recall and precision, counted from small tables."""

import math
from pathlib import Path

import polars as pl
import pytest

from benchmarks.data_recall import (
    CODES,
    SCHEMA_KINDS,
    Counted,
    add_up,
    count_exact,
    count_faults,
    count_near,
    count_pairs,
    read_pairs,
    read_truth,
)
from benchmarks.faults import FAULTS
from benchmarks.rows_generator import HARD, write
from tasks.data.quarantine import CODES as OURS

ROOT = Path(__file__).parents[3]


def truth_of(*rows: tuple[int, str, int | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"line": pl.Int64, "kind": pl.String, "of_line": pl.Int64}, orient="row")


def quarantine_of(*rows: tuple[int, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"line": pl.Int64, "code": pl.String}, orient="row")


def duplicates_of(*rows: tuple[int, int, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"line": pl.Int64, "of_line": pl.Int64, "kind": pl.String}, orient="row")


def groups_of(**lines: tuple[int, ...]) -> pl.DataFrame:
    rows = [(line, group) for group, found in lines.items() for line in found]
    return pl.DataFrame(rows, schema={"line": pl.Int64, "group": pl.String}, orient="row")


def test_precision_is_against_as_many_hard_negatives_as_faults() -> None:
    assert Counted(found=8, rows=10, false=2, negatives=10).precision == pytest.approx(8 / 10)
    assert Counted(found=8, rows=10, false=4, negatives=20).precision == pytest.approx(8 / 10)
    assert Counted(found=8, rows=10, false=2, negatives=10).recall == pytest.approx(0.8)


def test_what_is_not_there_has_no_recall_and_no_precision() -> None:
    assert math.isnan(Counted(0, 0, 0, 5).recall)
    assert math.isnan(Counted(0, 5, 0, 5).precision)


def test_kinds_add_up() -> None:
    assert add_up([Counted(1, 2, 3, 4), Counted(10, 20, 30, 40)]) == Counted(11, 22, 33, 44)


def test_every_kind_and_code_is_known_to_generator_and_quarantine() -> None:
    assert set(CODES) <= set(FAULTS)
    assert set(SCHEMA_KINDS) <= set(CODES)
    assert set(CODES.values()) <= set(OURS)


def test_a_fault_counts_only_under_its_own_code_and_a_hard_negative_under_any() -> None:
    truth = truth_of((1, "card", None), (2, "card", None), (3, "card", None), (4, f"{HARD}card", None), (5, f"{HARD}card", None))

    counted = count_faults(truth, quarantine_of((1, "CARD"), (2, "IBAN"), (4, "SECRET"), (9, "CARD")))

    assert counted["card"] == Counted(found=1, rows=3, false=1, negatives=2)
    assert counted["iban"] == Counted(0, 0, 0, 0)


def test_an_exact_duplicate_is_found_where_it_and_a_relative_have_the_same_row_kept() -> None:
    truth = truth_of(
        (2, "exact_duplicate", 1),  # removed as one of its original
        (11, "exact_duplicate", 12),  # its original is removed as one of it
        (21, "exact_duplicate", 20),  # its original is unfit, but a second one is removed as one of it
        (22, "exact_duplicate", 20),
        (31, "exact_duplicate", 30),  # missed
        (41, "exact_duplicate", 40),  # removed as one of a stranger
        (50, f"{HARD}near_duplicate", 1),
        (51, f"{HARD}near_duplicate", 1),
    )
    duplicates = duplicates_of((2, 1, "exact"), (12, 11, "exact"), (22, 21, "exact"), (41, 99, "exact"), (31, 30, "near"), (50, 1, "exact"))

    assert count_exact(truth, duplicates) == Counted(found=4, rows=6, false=1, negatives=2)


def test_a_near_duplicate_is_found_in_the_group_of_a_relative_or_removed_as_one() -> None:
    truth = truth_of(
        (2, "near_duplicate", 1),  # in one group with its original
        (11, "near_duplicate", 10),  # removed as one of its original
        (21, "near_duplicate", 20),  # its original is unfit, a row made from that is in its group
        (22, "inconsistent_label", 20),
        (31, "near_duplicate", 30),  # missed
        (41, "near_duplicate", 40),  # unfit
        (51, "near_duplicate", 50),  # its original is an exact duplicate of a row that is in its group
        (60, f"{HARD}near_duplicate", 1),
        (61, f"{HARD}near_duplicate", 1),
    )
    groups = groups_of(a=(1, 2, 60), b=(10,), c=(21, 22), d=(30,), e=(31,), f=(40,), g=(51, 52), h=(61,))
    duplicates = duplicates_of((11, 10, "near"), (50, 53, "exact"), (53, 52, "near"))

    assert count_near(truth, duplicates, groups) == Counted(found=4, rows=6, false=1, negatives=2)


def test_a_hard_negative_is_no_relative() -> None:
    truth = truth_of((2, "near_duplicate", 1), (3, f"{HARD}near_duplicate", 1))

    assert count_near(truth, duplicates_of(), groups_of(a=(1,), b=(2, 3))) == Counted(found=0, rows=1, false=1, negatives=1)


def test_pairs_are_counted_by_place() -> None:
    assert count_pairs([True, True, False, False, False], [0, 3]) == Counted(found=1, rows=2, false=1, negatives=3)


def test_lines_of_the_truth_are_those_of_the_table(tmp_path: Path) -> None:
    rows = pl.read_parquet(write(tmp_path, 1_000, 5, "parquet")).with_row_index("line", offset=1)
    truth = read_truth(tmp_path)

    [(line, of_line)] = truth.filter(pl.col("kind") == "inconsistent_label").select("line", "of_line").rows()[:1]

    texts = dict(rows.select("line", "input").iter_rows())
    assert texts[line] == texts[of_line]


def test_the_pairs_that_are_read_are_those_of_the_file() -> None:
    texts, others, same = read_pairs(ROOT / "benchmarks" / "paraphrases.jsonl")

    assert len(texts) == len(others) == len(same) >= 500
    assert {True, False} == set(same)
