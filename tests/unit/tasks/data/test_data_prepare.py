"""Preparation as a whole: from files to sides, with every row accounted for."""

import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import ChecksConfig, DataConfig, SplitConfig
from pipeline_config.errors import DataError
from tasks.artifacts import RowCounts
from tasks.data.prepare import prepare_data, require_balance
from tasks.data.quarantine import QUARANTINE, count_by_code
from tasks.data.split import SIDES, SPLIT
from tasks.rows import TEST_COLUMNS, answer_of, messages_digest
from tests.unit.tasks.data.data_builders import (
    data_config,
    labelled_csv,
    prepare,
    prepared_from,
    sides,
    template,
    ticket,
    tickets,
    unlike_tickets,
    write_csv,
    write_jsonl,
)


def refusal(data: DataConfig, folder: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare(data, folder, **options)
    return str(caught.value)


def test_writes_canonical_chats_to_each_side(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, tickets())
    rows = list(itertools.chain(*sides(prepared).values()))
    assert len(rows) == 40
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert row["messages"][1]["content"].endswith(answer_of(row))
        assert row["digest"] == messages_digest(row["messages"])
    assert prepared.instruction == "Name the queue."
    assert prepared.labels == ("email", "network")


def test_the_split_file_has_every_row_with_its_side(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, tickets(), max_train_rows=10)
    split = pl.read_parquet(prepared.folder / "split.parquet")
    assert split.schema == SPLIT
    assert split.height == 40
    for side, rows in sides(prepared).items():
        assert split.filter(pl.col("side") == side, pl.col("kept"))["row_id"].to_list() == [row["row_id"] for row in rows]


def test_quarantined_rows_are_written_with_place_code_and_reason(tmp_path: Path) -> None:
    rows = [*tickets(), ticket(98, output=" "), ticket(99, input="x" * 600 + " word" * 600)]
    prepared = prepared_from(tmp_path, rows)
    quarantined = pl.read_parquet(prepared.folder / "quarantine.parquet")
    assert quarantined.schema == QUARANTINE
    assert quarantined.select("file", "line", "code").rows() == [("a.jsonl", 41, "EMPTY_OUTPUT"), ("a.jsonl", 42, "TOO_LONG")]
    assert prepared.counts.quarantined == 2
    assert count_by_code(prepared.folder) == {"EMPTY_OUTPUT": 1, "TOO_LONG": 1}


def test_a_row_with_several_faults_is_quarantined_once(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, [*tickets(), ticket(99, input="a\x00b", output=3)])
    quarantined = pl.read_parquet(prepared.folder / "quarantine.parquet")
    assert quarantined.select("code", "reason").rows() == [("NOT_TEXT", "output is of type int; input holds a control character")]


def test_too_many_bad_rows_stop_the_run_and_are_on_file(tmp_path: Path) -> None:
    rows = [*tickets(), *(ticket(number, output="") for number in range(5)), ticket(9, input=3)]
    message = refusal(data_config(write_jsonl(tmp_path / "a.jsonl", rows)), tmp_path / "out")
    assert "6 of 46 rows were quarantined (EMPTY_OUTPUT 5, NOT_TEXT 1); the first is a.jsonl, line 41: output is empty" in message
    assert str(tmp_path / "out" / "quarantine.parquet") in message
    assert "10.0%" in message
    assert pl.read_parquet(tmp_path / "out" / "quarantine.parquet").height == 6


def test_a_raised_limit_lets_bad_rows_be_left_out(tmp_path: Path) -> None:
    rows = [*tickets(), *(ticket(number, output="") for number in range(5))]
    assert prepared_from(tmp_path, rows, max_bad_fraction=0.2).counts.quarantined == 5


def test_no_rows_left_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(number, output="") for number in range(3)])
    assert "no rows left after validation: 3 of 3 rows" in refusal(data_config(path, max_bad_fraction=0.99), tmp_path / "out")


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", tickets(["network"]))
    assert "one class only" in refusal(data_config(path), tmp_path / "out")


def test_too_few_groups_for_every_side_are_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1), ticket(1, output="email")])
    message = refusal(data_config(path), tmp_path / "out")
    assert "rows: train" in message
    assert "there are 1 such groups" in message


def test_duplicates_are_counted_not_quarantined(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, [*tickets(), ticket(0), ticket(1, input="TICKET 1  for network")])
    assert (prepared.counts.duplicates, prepared.counts.quarantined) == (2, 0)


def test_only_wanted_labels_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    rows = tickets(["network", "email", "printing"])
    prepared = prepared_from(tmp_path, rows, source={"labels": ["email", "printing"]})
    assert prepared.labels == ("email", "printing")
    assert prepared.counts.unselected == 20


def test_limits_set_rows_aside_and_keep_validation_in_proportion(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, tickets(each=500), max_train_rows=90, max_test_rows=50)
    counts = prepared.counts
    assert (counts.train, counts.validation, counts.test) == (90, 10, 50)
    assert counts.set_aside == 1000 - 150
    for rows, each in ((sides(prepared)["train"], 45), (sides(prepared)["test"], 25)):
        assert [answer_of(row) for row in rows].count("email") == each


def test_free_text_answers_are_no_labels(tmp_path: Path) -> None:
    prepared = prepared_from(tmp_path, [ticket(number, output=f"answer {number}") for number in range(30)])
    assert prepared.labels is None
    assert all(sides(prepared).values())


def test_different_instructions_are_no_constant_one(tmp_path: Path) -> None:
    rows = [ticket(number, label, instruction=f"Task {number}.") for number in range(20) for label in ("network", "email")]
    assert prepared_from(tmp_path, rows).instruction is None


def test_the_order_of_the_source_makes_no_difference(tmp_path: Path) -> None:
    rows = [*tickets(), ticket(1, output="email"), ticket(2)]
    one = prepare(data_config(write_jsonl(tmp_path / "a.jsonl", rows), max_train_rows=11), tmp_path / "one")
    other = prepare(data_config(write_jsonl(tmp_path / "b.jsonl", rows[::-1]), max_train_rows=11), tmp_path / "other")
    assert (one.digest, one.counts) == (other.digest, other.counts)
    assert sides(one) == sides(other)


def test_more_test_rows_are_other_data_and_train_no_other_model(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", tickets(each=100))
    few, more, other = (
        prepare(data_config(path, max_train_rows=40, **limit), tmp_path / str(at))
        for at, limit in enumerate(({"max_test_rows": 10}, {"max_test_rows": 20}, {"max_test_rows": 10, "canaries": 1}))
    )
    assert few.digest != more.digest
    assert few.training_digest == more.training_digest
    assert other.training_digest != few.training_digest
    assert sides(few)["train"] == sides(more)["train"]
    assert sides(few)["validation"] == sides(more)["validation"]


def test_any_changed_row_changes_the_digest(tmp_path: Path) -> None:
    one = prepared_from(tmp_path, tickets())
    assert prepared_from(tmp_path, [*tickets(), ticket(77)]).digest != one.digest


def test_a_reworded_instruction_column_leaves_every_text_on_its_side(tmp_path: Path) -> None:
    paths = [write_jsonl(tmp_path / f"{n}.jsonl", [row | {"instruction": f"Wording {n}."} for row in tickets()]) for n in range(2)]
    limited = [prepare(data_config(path, max_train_rows=9, max_test_rows=5), tmp_path / path.stem) for path in paths]
    one, other = ({side: {row["messages"][1]["content"] for row in rows} for side, rows in sides(each).items()} for each in limited)
    assert one == other


def test_a_reworded_instruction_leaves_every_row_on_its_side(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["text", "category"], [[f"text {n}", "ab"[n % 2]] for n in range(60)])
    sources = [labelled_csv(path, instruction=text) for text in ("Name it.", "Classify it.")]
    one, other = (
        prepare(
            DataConfig(source=source, split=SplitConfig(near_jaccard=None), checks=ChecksConfig(near_duplicate_jaccard=None)),
            tmp_path / str(index),
        )
        for index, source in enumerate(sources)
    )
    assert {side: [row["row_id"] for row in rows] for side, rows in sides(one).items()} == {
        side: [row["row_id"] for row in rows] for side, rows in sides(other).items()
    }
    assert one.digest != other.digest


def test_training_rows_that_equal_a_test_row_are_quarantined(tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", tickets())
    test = write_jsonl(tmp_path / "test.jsonl", [ticket(1, input="Ticket 1 FOR network"), ticket(90), ticket(91, "email")])
    prepared = prepare(data_config(train, source={"test_path": test}), tmp_path / "out")
    assert count_by_code(prepared.folder) == {"LEAK_EXACT": 1}
    assert {row["messages"][1]["content"] for row in sides(prepared)["test"]} == {
        "Ticket 1 FOR network",
        "ticket 90 for network",
        "ticket 91 for email",
    }


def test_equal_texts_in_different_groups_do_not_leak(tmp_path: Path) -> None:
    rows = [ticket(number % 30, label, customer=f"c{number}") for number in range(60) for label in ("network", "email")]
    rows = [row | {"input": f"{row['input']}{' ' * (index % 7)}"} for index, row in enumerate(rows)]
    path = write_jsonl(tmp_path / "a.jsonl", [row | {"instruction": f"Ask {index}."} for index, row in enumerate(rows)])
    prepared = prepare(data_config(path, split={"group_column": "customer"}, max_bad_fraction=0.9), tmp_path / "out")
    assert set(count_by_code(prepared.folder)) == {"LEAK_EXACT"}
    texts = {side: {" ".join(row["messages"][1]["content"].split()) for row in rows} for side, rows in sides(prepared).items()}
    assert all(not texts[one] & texts[other] for one, other in itertools.combinations(SIDES, 2))


def test_a_count_that_does_not_add_up_is_refused_with_the_numbers() -> None:
    fates = {"validation": 1, "test": 1, "quarantined": 0, "duplicates": 0, "unselected": 0, "set_aside": 0}
    require_balance(RowCounts(read=5, train=3, **fates))
    with pytest.raises(DataError, match="5 rows were read, but 4 are accounted for"):
        require_balance(RowCounts(read=5, train=2, **fates))


TEXTS = st.sampled_from(
    [f"text {number}" for number in range(12)] + ["TEXT 1", " text  2", "", " ", "a\x00b", "word " * 40, None, 4, ["x"]]
)
ANSWERS = st.sampled_from(["a", "a", "b", "b", "c", " a ", "A", "", None, 1, "d\x07"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "instruction": st.sampled_from(["Do it.", "Do it.", "Other.", None]),
            "input": TEXTS,
            "output": ANSWERS,
            "group": st.sampled_from("pqrstuvwxyz"),
        }
    ),
    min_size=1,
    max_size=40,
)


def with_fit_rows(name: str, messy: list[dict[str, object]]) -> list[dict[str, object]]:
    """Enough fit rows beside the messy ones that the data is never refused: a refused table would prove nothing."""
    fit = [
        {"instruction": "Do it.", "input": f"{name} {number}", "output": "abc"[number % 3], "group": f"{name}{number}"}
        for number in range(9)
    ]
    return messy[: len(messy) // 2] + fit + messy[len(messy) // 2 :]


@given(
    rows=ROWS,
    test_rows=st.none() | ROWS,
    labels=st.sampled_from([(), ("a", "b"), ("b", "c")]),
    limits=st.tuples(st.none() | st.integers(1, 9), st.none() | st.integers(1, 9)),
    group_column=st.sampled_from([None, None, "group"]),
    fraction=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_every_row_has_exactly_one_fate_whatever_the_table(
    rows: list[dict[str, object]],
    test_rows: list[dict[str, object]] | None,
    labels: tuple[str, ...],
    limits: tuple[int | None, int | None],
    group_column: str | None,
    fraction: float,
) -> None:
    rows = with_fit_rows("train", rows)
    test_rows = None if test_rows is None else with_fit_rows("test", test_rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test_path = None if test_rows is None else write_jsonl(folder / "test.jsonl", test_rows)
        data = data_config(
            write_jsonl(folder / "a.jsonl", rows),
            source={"labels": labels, "test_path": test_path},
            split={"group_column": group_column, "test_fraction": fraction},
            max_bad_fraction=0.999,
            max_train_rows=limits[0],
            max_test_rows=limits[1],
        )
        prepared = prepare(data, folder / "out", max_length=60)
        counts, by_side = prepared.counts, sides(prepared)
        quarantined = pl.read_parquet(prepared.folder / "quarantine.parquet")
        split = pl.read_parquet(prepared.folder / "split.parquet")
    assert counts.read == len(rows) + len(test_rows or [])
    assert {side: len(found) for side, found in by_side.items()} == {side: getattr(counts, side) for side in SIDES}
    assert quarantined.height == counts.quarantined
    assert counts.read == split.height + quarantined.height + counts.duplicates + counts.unselected
    ids = split["row_id"].to_list() + quarantined["row_id"].to_list()
    assert len(ids) == len(set(ids))
    assert split.group_by("group").agg(pl.col("side").n_unique())["side"].max() == 1
    texts = {side: {" ".join(str(row["messages"][-2]["content"]).casefold().split()) for row in found} for side, found in by_side.items()}
    assert all(not texts[one] & texts[other] for one, other in itertools.combinations(SIDES, 2))


def test_chats_of_several_turns_are_kept_as_they_are(tmp_path: Path) -> None:
    chats = [
        [
            {"role": "user", "content": f"{row['input']} first"}, {"role": "assistant", "content": "Which one?"},
            {"role": "user", "content": str(row["input"])}, {"role": "assistant", "content": str(row["output"])},
        ]
        for row in unlike_tickets(30)
    ]  # fmt: skip
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": chat} for chat in chats])
    prepared = prepare(data_config(path), tmp_path / "out")
    rows = list(itertools.chain(*sides(prepared).values()))
    assert sorted(map(str, chats)) == sorted(str(row["messages"]) for row in rows)
    assert all(row["digest"] == messages_digest(row["messages"]) for row in rows)


def test_canaries_are_planted_among_the_training_rows_only_and_are_said(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", tickets())
    plain, planted = (prepare(data_config(path, canaries=count), tmp_path / str(count)) for count in (0, 3))
    assert planted.canaries == 3
    assert planted.counts == plain.counts
    assert planted.labels == plain.labels
    assert planted.digest != plain.digest
    before, after = sides(plain), sides(planted)
    assert (after["test"], after["validation"]) == (before["test"], before["validation"])
    extra = [row for row in after["train"] if row not in before["train"]]
    assert len({row["digest"] for row in extra}) == len(extra) == 3
    assert all(row["messages"][0] == {"role": "system", "content": "Name the queue."} for row in extra)


def banking77() -> Path:
    folder = Path(os.environ.get("BANKING77_DIR", "unset"))
    if not (folder / "train.csv").is_file():
        pytest.skip(f"BANKING77_DIR does not hold Banking77's train.csv and test.csv: {folder}")
    return folder


@pytest.mark.banking77
@pytest.mark.parametrize("limits", [{}, {"max_train_rows": 2500, "max_test_rows": 400}])
def test_banking77_is_prepared_within_seconds_and_its_own_leaks_are_quarantined(tmp_path: Path, limits: dict[str, int]) -> None:
    folder = banking77()
    source = labelled_csv(folder / "train.csv", test_path=folder / "test.csv")
    started = time.process_time()
    prepared = prepare_data(DataConfig(source=source, split=SplitConfig(), **limits), template=template(), folder=tmp_path)
    assert time.process_time() - started < 20
    assert prepared.counts.read == 10_003 + 3_080
    leaks = count_by_code(prepared.folder)
    assert leaks.keys() == {"LEAK_EXACT", "LEAK_NEAR"}
    assert leaks["LEAK_EXACT"] == 6
    assert 600 < leaks["LEAK_NEAR"] < 1_000, "training rows that nearly repeat one of the 3,080 test rows"
    assert 100 < prepared.counts.duplicates < 300
    assert prepared.labels is not None
    assert len(prepared.labels) == 77
    require_balance(prepared.counts)
    if limits:
        assert (prepared.counts.train, prepared.counts.test) == (2500, 400)


def test_columns_to_divide_figures_by_are_kept_beside_the_test_rows(tmp_path: Path) -> None:
    rows = [{**row, "tier": "gold" if at % 3 else None, "year": at % 2} for at, row in enumerate(tickets())]
    config = data_config(write_jsonl(tmp_path / "a.jsonl", rows), source={"slice_columns": ("tier", "year")})
    prepared, plain = prepare(config, tmp_path / "out"), prepare(data_config(tmp_path / "a.jsonl"), tmp_path / "plain")
    columns = pl.read_parquet(prepared.folder / TEST_COLUMNS)
    test = {row["row_id"]: row["messages"][1]["content"] for row in sides(prepared)["test"]}
    kept = {row["input"]: (row["tier"], str(row["year"])) for row in rows}
    assert columns.columns == ["row_id", "source", "tier", "year"]
    assert {row_id: (tier, year) for row_id, _, tier, year in columns.iter_rows()} == {row_id: kept[text] for row_id, text in test.items()}
    assert set(columns["source"]) == {"a.jsonl"}
    assert pl.read_parquet(plain.folder / TEST_COLUMNS).columns == ["row_id", "source"]
    assert prepared.digest == plain.digest


def test_a_column_that_only_the_test_file_has_is_enough(tmp_path: Path) -> None:
    train, test = write_jsonl(tmp_path / "a.jsonl", tickets()), [{**ticket(n + 50), "tier": "gold"} for n in range(3)]
    source = {"test_path": write_jsonl(tmp_path / "b.jsonl", test), "slice_columns": ("tier",)}
    columns = pl.read_parquet(prepare(data_config(train, source=source), tmp_path / "out").folder / TEST_COLUMNS)
    assert columns.select("source", "tier").rows() == [("b.jsonl", "gold")] * 3
    assert "unknown column `tier`" in refusal(data_config(train, source={"slice_columns": ("tier",)}), tmp_path / "other")
