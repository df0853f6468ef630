"""Whether there are enough rows, of each label, and all checks together."""

import polars as pl
import pytest

from tasks.data.dataset import check_dataset, find_imbalance, find_size
from tasks.data.findings import Finding
from tasks.data.overview import Overview
from tests.unit.tasks.data.dataset_builders import diversity_of, helpdesk_rows, kept_rows, planted, show, shown


def check(rows: pl.DataFrame) -> list[Finding]:
    return check_dataset(Overview(rows, rows), diversity_of(rows), show, shown)


@pytest.mark.parametrize(
    ("train", "labels", "code"),
    [
        (999, 0, "TOO_FEW_ROWS"),
        (1_000, 0, None),
        (1_539, 77, "TOO_FEW_ROWS"),
        (1_540, 77, None),
        (100_000, 0, None),
        (100_001, 0, "MANY_ROWS"),
        (0, 0, "TOO_FEW_ROWS"),
    ],
)
def test_the_size_is_judged_by_rows_and_by_rows_of_a_label(train: int, labels: int, code: str | None) -> None:
    found = find_size(train, labels)
    assert (found.code if found else None) == code


def test_the_size_is_said_with_numbers() -> None:
    few, many = find_size(300, 20), find_size(2_000_000, 0)
    assert few is not None
    assert many is not None
    assert "300 training rows, 15.0 for each of 20 labels" in few.message
    assert (few.level, many.level) == ("warning", "info")


@pytest.mark.parametrize(
    ("counts", "small"),
    [
        ({"a": 100, "b": 10}, 0),
        ({"a": 101, "b": 10}, 1),
        ({"a": 30, "b": 9}, 1),
        ({"a": 30, "b": 0, "c": 0}, 2),
        ({"a": 0}, 1),
        ({}, 0),
    ],
)
def test_labels_with_a_tenth_of_the_largest_or_hardly_a_row_are_counted(counts: dict[str, int], small: int) -> None:
    found = find_imbalance(counts)
    assert (found.count if found else 0) == small


def test_small_labels_are_named_the_rarest_first() -> None:
    found = find_imbalance({"large": 500, "small": 20, "none": 0, "tiny": 2} | {f"medium {number}": 200 for number in range(9)})
    assert found is not None
    assert (found.code, found.level, found.count, found.looked_at) == ("IMBALANCED", "warning", 3, 13)
    assert "500 training rows are of 'large', and there are none of 'none'" in found.message
    assert found.message.endswith("labels with fewer than 50: 'none' (0), 'tiny' (2), 'small' (20)")


def test_of_sound_rows_only_the_one_instruction_is_mentioned() -> None:
    assert [(finding.code, finding.level) for finding in check(helpdesk_rows())] == [("LOW_DIVERSITY", "info")]


def test_only_training_rows_count_for_size_and_balance() -> None:
    rows = helpdesk_rows()
    rare = (pl.col("label") == "network_vpn") | (pl.int_range(pl.len()) % 3 == 0)
    found = {
        finding.code: finding for finding in check(rows.with_columns(side=pl.when(rare).then(pl.lit("test")).otherwise(pl.lit("train"))))
    }
    assert "there are none of 'network_vpn'" in found["IMBALANCED"].message
    assert "TOO_FEW_ROWS" not in found


def test_spellings_are_no_labels_of_their_own() -> None:
    rows = helpdesk_rows()
    other = pl.when(pl.int_range(pl.len()) % 400 == 0).then(pl.col("output").str.to_uppercase()).otherwise(pl.col("output"))
    assert {finding.code for finding in check(rows.with_columns(output=other))} == {"MIXED_LABELS", "LOW_DIVERSITY"}


def test_warnings_come_first_and_the_order_of_rows_makes_no_difference() -> None:
    rows = planted(helpdesk_rows().head(900), "cf mn", "telephony_meetings", 0.03)
    found = check(rows)
    levels = [finding.level for finding in found]
    assert levels == sorted(levels, reverse=True)
    assert {"TOO_FEW_ROWS", "SUSPICIOUS_CLUSTER"} <= {finding.code for finding in found}
    assert check(rows.sample(fraction=1, shuffle=True, seed=2)) == found


def test_free_text_rows_are_checked_too() -> None:
    texts = helpdesk_rows()["input"].to_list()
    rows = kept_rows(texts, [f"Thank you, {text}" for text in texts], labelled=False)
    assert [(finding.code, finding.level) for finding in check(rows)] == [("LOW_DIVERSITY", "info")]


def test_no_rows_are_too_few() -> None:
    assert [finding.code for finding in check(kept_rows([], []))] == ["TOO_FEW_ROWS"]
