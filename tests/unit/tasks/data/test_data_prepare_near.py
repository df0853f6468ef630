"""Preparation as a whole: rows that are near one another, splits that were kept, and benchmarks."""

from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import DataConfig, SensitiveConfig, SourceConfig, SplitConfig
from tasks.artifacts import PreparedData
from tasks.data.assignments import ASSIGNMENTS, merge
from tasks.data.prepare import require_balance
from tasks.data.quarantine import count_by_code
from tasks.data.split import SIDES
from tasks.rows import BENCHMARK_FILE
from tests.unit.tasks.data.data_builders import data_config, prepare, sides, ticket, unlike_tickets, write_jsonl

LONG = "the mail client asks for my password every few minutes since the update on {}, and saving it does not help at all"


@pytest.mark.parametrize(("jaccard", "taken"), [(0.65, 2), (None, 0)])
def test_training_rows_that_nearly_repeat_a_test_row_are_taken_out_and_are_no_bad_rows(
    tmp_path: Path, jaccard: float | None, taken: int
) -> None:
    train = [*unlike_tickets(24), ticket(90, input=LONG.format("Monday")), ticket(91, "email", input=LONG.format("Tuesday"))]
    test = [ticket(200, input=LONG.format("Friday")), ticket(201, "email", input="may I have a second screen at my desk in Leeds")]
    paths = [write_jsonl(tmp_path / name, rows) for name, rows in (("train.jsonl", train), ("test.jsonl", test))]
    data = data_config(
        paths[0], source={"test_path": paths[1]}, split={"near_jaccard": jaccard, "validation_fraction": 0.01}, max_bad_fraction=0.0
    )
    prepared = prepare(data, tmp_path / "out")
    near = pl.read_parquet(prepared.folder / "quarantine.parquet").filter(pl.col("reason").str.contains("test.jsonl, line 1"))
    assert near.height == taken
    assert set(near["code"]) <= {"LEAK_NEAR"}
    require_balance(prepared.counts)


def nearly(text: str, number: int) -> str:
    """The text with one word more."""
    return f"{text} {'abcdefgh'[number] * 6}"


def test_near_rows_stay_on_one_side_and_of_those_with_one_answer_one_is_kept(tmp_path: Path) -> None:
    rows = unlike_tickets(40)
    twins = [row | {"input": nearly(str(row["input"]), 1)} for row in rows[:10]]
    others = [row | {"input": nearly(str(row["input"]), 2), "output": "third"} for row in rows[:10]]
    path = write_jsonl(tmp_path / "a.jsonl", rows + twins + others)
    prepared = prepare(DataConfig(source=SourceConfig(path=path)), tmp_path / "out")
    assert prepared.counts.duplicates == 10
    removed = pl.read_parquet(prepared.folder / "duplicates.parquet")
    assert set(removed["kind"]) == {"near"}
    assert removed.select(pl.max_horizontal("line", "of_line") - pl.min_horizontal("line", "of_line")).to_series().to_list() == [40] * 10
    split = pl.read_parquet(prepared.folder / "split.parquet")
    assert split["group"].n_unique() == 40
    assert split.group_by("group").agg(pl.col("side").n_unique())["side"].max() == 1
    assert count_by_code(prepared.folder) == {}


def recorded_of(*prepared: PreparedData) -> pl.DataFrame:
    recorded = pl.DataFrame(schema=ASSIGNMENTS)
    for each in prepared:
        recorded = merge(recorded, pl.read_parquet(each.folder / "split.parquet"))
    return recorded


def texts_by_side(prepared: PreparedData) -> dict[str, set[str]]:
    return {side: {row["messages"][1]["content"] for row in rows} for side, rows in sides(prepared).items()}


def test_a_split_that_was_kept_holds_whatever_is_added_and_whatever_the_fractions_are(tmp_path: Path) -> None:
    few, many = unlike_tickets(60)[:30], unlike_tickets(60)
    paths = [write_jsonl(tmp_path / f"{n}.jsonl", rows) for n, rows in enumerate((few, many))]
    before = prepare(data_config(paths[0]), tmp_path / "one")
    after = prepare(
        data_config(paths[1], split={"test_fraction": 0.1, "validation_fraction": 0.5}), tmp_path / "two", recorded=recorded_of(before)
    )
    one, two = texts_by_side(before), texts_by_side(after)
    assert all(one[side] <= two[side] for side in SIDES)


def test_new_rows_that_connect_training_rows_with_a_test_row_make_all_of_them_test_rows(tmp_path: Path) -> None:
    rows = unlike_tickets(30)
    first = prepare(DataConfig(source=SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows))), tmp_path / "one")
    by_side = texts_by_side(first)
    test, train = min(by_side["test"]), min(by_side["train"])
    bridge = [ticket(0, "third", input=f"{test} {train}"), ticket(0, "fourth", input=f"{test} {train} more")]
    path = write_jsonl(tmp_path / "b.jsonl", rows + bridge)
    joined = DataConfig(source=SourceConfig(path=path), split=SplitConfig(near_jaccard=0.4))
    second = prepare(joined, tmp_path / "two", recorded=recorded_of(first))
    assert {test, train} <= texts_by_side(second)["test"]
    assert by_side["test"] <= texts_by_side(second)["test"]
    recorded = recorded_of(first, second)
    assert recorded.filter("moved").height == 1


def test_a_former_test_row_may_not_be_trained_on_when_it_leaves_the_test_file(tmp_path: Path) -> None:
    train, test = write_jsonl(tmp_path / "train.jsonl", unlike_tickets(20)), tmp_path / "test.jsonl"
    held = [row | {"input": f"other {row['input']}"} for row in unlike_tickets(24)[20:]]
    write_jsonl(test, held)
    first = prepare(data_config(train, source={"test_path": test}), tmp_path / "one")
    write_jsonl(train, [*unlike_tickets(20), held[0]])
    write_jsonl(test, held[1:])
    second = prepare(data_config(train, source={"test_path": test}), tmp_path / "two", recorded=recorded_of(first))
    quarantined = pl.read_parquet(second.folder / "quarantine.parquet")
    assert quarantined.select("line", "code", "reason").rows() == [(21, "LEAK_GROUP", "its group had a test row in an earlier run")]


def test_rows_that_repeat_a_benchmark_are_not_trained_on(tmp_path: Path) -> None:
    rows = unlike_tickets(40)
    benchmark = write_jsonl(tmp_path / "benchmark.jsonl", [rows[3], rows[4] | {"input": nearly(str(rows[4]["input"]), 0)}, ticket(5)])
    data = data_config(
        write_jsonl(tmp_path / "a.jsonl", rows), split={"near_jaccard": 0.65, "benchmark_paths": [benchmark], "test_fraction": 0.01}
    )
    prepared = prepare(data, tmp_path / "out")
    assert count_by_code(prepared.folder) == {"LEAK_BENCHMARK": 2}
    assert pl.read_parquet(prepared.folder / "quarantine.parquet")["line"].sort().to_list() == [4, 5]
    assert str(rows[3]["input"]).lower() in pl.read_parquet(prepared.folder / BENCHMARK_FILE)["normal"].to_list()
    require_balance(prepared.counts)


def test_a_masked_row_is_recognised_in_a_benchmark_that_is_not_masked(tmp_path: Path) -> None:
    rows = [*unlike_tickets(40), ticket(90, input="jane.doe@corp-mail.org cannot print since Monday")]
    benchmark = write_jsonl(tmp_path / "benchmark.jsonl", rows[-1:])
    split = {"benchmark_paths": [benchmark], "test_fraction": 0.01}
    data = data_config(write_jsonl(tmp_path / "a.jsonl", rows), split=split, sensitive=SensitiveConfig(email="mask"))
    assert count_by_code(prepare(data, tmp_path / "out").folder) == {"LEAK_BENCHMARK": 1}
