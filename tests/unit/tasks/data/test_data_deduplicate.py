"""Which rows count as equal."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import SourceConfig
from tasks.data.deduplicate import add_keys, drop_duplicates, normalise
from tasks.data.sources import read_table
from tests.unit.tasks.data.data_builders import ticket, write_jsonl


def keyed(tmp_path: Path, *rows: dict[str, object], group_column: str | None = None) -> pl.DataFrame:
    return add_keys(read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows)), group_column))


@pytest.mark.parametrize("other", ["VPN is down", "vpn IS down", " vpn  is\n down ", "vpn\u00a0is down", "\uff56\uff50\uff4e is down"])
def test_case_width_and_white_space_make_no_difference(other: str) -> None:
    assert normalise(other) == "vpn is down"


@given(st.text())
def test_white_space_around_a_text_makes_no_difference(text: str) -> None:
    assert normalise(f" \t{text}\n") == normalise(text)


def test_equal_rows_are_one(tmp_path: Path) -> None:
    table = keyed(tmp_path, ticket(1), ticket(1), ticket(1, input="TICKET  1 for network"), ticket(2))
    assert drop_duplicates(table)["prompt"].n_unique() == drop_duplicates(table).height == 2


def test_which_of_equal_rows_is_kept_does_not_depend_on_their_order(tmp_path: Path) -> None:
    rows = [ticket(1), ticket(1, input="TICKET 1 for network"), ticket(1, input="ticket 1  for network")]
    kept = {drop_duplicates(keyed(tmp_path, *order))["row_id"].item() for order in (rows, rows[::-1], rows[1:] + rows[:1])}
    assert len(kept) == 1


def test_the_same_prompt_with_another_answer_stays_in_the_same_group(tmp_path: Path) -> None:
    table = drop_duplicates(keyed(tmp_path, ticket(1), ticket(1, output="email"), ticket(1, output="Network")))
    assert table.height == 3
    assert table["group"].n_unique() == 1


def test_the_same_text_under_another_instruction_is_another_row_of_the_same_group(tmp_path: Path) -> None:
    table = drop_duplicates(keyed(tmp_path, ticket(1), ticket(1, instruction="Which queue?")))
    assert table.height == 2
    assert table["group"].n_unique() == 1


def test_rows_without_an_input_are_grouped_by_their_instruction(tmp_path: Path) -> None:
    table = keyed(tmp_path, ticket(1, input=None, instruction="Name a colour."), ticket(2, input="", instruction="name a  COLOUR."))
    assert table["group"].n_unique() == 1


def test_a_group_column_groups_different_texts(tmp_path: Path) -> None:
    rows = [ticket(1, customer="c1"), ticket(2, customer="c1"), ticket(3, customer="c2"), ticket(4, customer=7), ticket(5)]
    table = keyed(tmp_path, *rows, group_column="customer").sort("line")
    assert table["group"][0] == table["group"][1]
    assert table["group"].n_unique() == 4


def test_equal_rows_of_training_and_test_file_are_not_duplicates_but_leaks(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1)])
    assert drop_duplicates(add_keys(read_table(SourceConfig(path=path, test_path=path), None))).height == 2
