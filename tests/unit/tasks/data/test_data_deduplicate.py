"""Which rows count as equal."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import SourceConfig
from tasks.data.deduplicate import DUPLICATES, add_keys, duplicates_table, find_exact, find_near, find_pairs, with_groups
from tasks.nearness.normal import normalise
from tests.unit.tasks.data.data_builders import read_table, ticket, write_jsonl


def keyed(tmp_path: Path, *rows: dict[str, object], group_column: str | None = None) -> pl.DataFrame:
    return add_keys(read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows)), group_column))


@pytest.mark.parametrize("other", ["VPN is down", "vpn IS down", " vpn  is\n down ", "vpn\u00a0is down", "\uff56\uff50\uff4e is down"])
def test_case_width_and_white_space_make_no_difference(other: str) -> None:
    assert normalise(other) == "vpn is down"


@given(st.text())
def test_white_space_around_a_text_makes_no_difference(text: str) -> None:
    assert normalise(f" \t{text}\n") == normalise(text)


def distinct(index: pl.DataFrame) -> pl.DataFrame:
    return index.join(find_exact(index), on="row_id", how="anti")


def groups(index: pl.DataFrame, jaccard: float | None = None) -> list[str]:
    index = index.sort("line")
    return with_groups(index, find_pairs(index, jaccard), jaccard)["group"].to_list()


def test_equal_rows_are_one(tmp_path: Path) -> None:
    table = keyed(tmp_path, ticket(1), ticket(1), ticket(1, input="TICKET  1 for network"), ticket(2))
    assert distinct(table)["text"].n_unique() == distinct(table).height == 2


def test_which_of_equal_rows_is_kept_does_not_depend_on_their_order(tmp_path: Path) -> None:
    rows = [ticket(1), ticket(1, input="TICKET 1 for network"), ticket(1, input="ticket 1  for network")]
    kept = {distinct(keyed(tmp_path, *order))["row_id"].item() for order in (rows, rows[::-1], rows[1:] + rows[:1])}
    assert len(kept) == 1


def test_the_same_prompt_with_another_answer_stays_in_the_same_group(tmp_path: Path) -> None:
    table = distinct(keyed(tmp_path, ticket(1), ticket(1, output="email"), ticket(1, output="Network")))
    assert table.height == 3
    assert len(set(groups(table))) == 1


def test_the_same_text_under_another_instruction_is_another_row_of_the_same_group(tmp_path: Path) -> None:
    table = distinct(keyed(tmp_path, ticket(1), ticket(1, instruction="Which queue?")))
    assert table.height == 2
    assert len(set(groups(table))) == 1


def test_rows_without_an_input_are_grouped_by_their_instruction(tmp_path: Path) -> None:
    table = keyed(tmp_path, ticket(1, input=None, instruction="Name a colour."), ticket(2, input="", instruction="name a  COLOUR."))
    assert len(set(groups(table))) == 1


def test_a_group_column_groups_different_texts(tmp_path: Path) -> None:
    rows = [ticket(1, customer="c1"), ticket(2, customer="c1"), ticket(3, customer="c2"), ticket(4, customer=7), ticket(5)]
    found = groups(keyed(tmp_path, *rows, group_column="customer"))
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_equal_rows_of_training_and_test_file_are_not_duplicates_but_leaks(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1)])
    assert distinct(add_keys(read_table(SourceConfig(path=path, test_path=path)))).height == 2


LONG = "the mail client asks for my password every few minutes since the update on {}, and saving it does not help at all"


def near_rows() -> list[dict[str, object]]:
    days = ("Monday", "Tuesday", "Friday")
    return [*(ticket(0, input=LONG.format(day)) for day in days), ticket(0, "email", input=LONG.format("Sunday")), ticket(7)]


def test_rows_that_nearly_say_the_same_are_one_group_named_the_same_whatever_their_order(tmp_path: Path) -> None:
    found = groups(keyed(tmp_path, *near_rows()), 0.65)
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]
    assert groups(keyed(tmp_path, *near_rows()[::-1]), 0.65) == found[::-1]


def test_of_near_rows_with_the_same_answer_one_is_kept(tmp_path: Path) -> None:
    index = keyed(tmp_path, *near_rows()).sort("row_id")
    pairs = find_pairs(index, 0.65)
    near = find_near(index, pairs, 0.8)
    assert near.height == 2
    assert near["of"].n_unique() == 1, "both are near to the one that is kept"
    removed = duplicates_table(index, find_exact(index), near)
    assert removed.schema == DUPLICATES
    assert removed["kind"].to_list() == ["near"] * 2
    assert set(removed["line"]) | set(removed["of_line"]) == {1, 2, 3}
    assert find_near(index, pairs, None).is_empty()


def test_a_row_is_removed_only_if_it_is_near_to_one_that_is_kept() -> None:
    index = pl.DataFrame({"row_id": ["a", "b", "c"], "same_answer": [1, 1, 1], "from_test": [False] * 3, "exact": [1, 2, 3]})
    chain = pl.DataFrame({"left": [0, 1], "right": [1, 2], "jaccard": [0.9, 0.9]})
    assert find_near(index, chain, 0.8).select("row_id", "of").rows() == [("b", "a")]
