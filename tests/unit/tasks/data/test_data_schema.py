"""Row checks: the faults of single rows."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import ColumnMapping, SourceConfig
from pipeline_config.errors import DataError
from tasks.data.schema import find_faults
from tasks.data.sources import TABLE
from tests.unit.tasks.data.data_builders import labelled_csv, read_table, ticket, write_csv, write_jsonl


def faults(tmp_path: Path, *rows: dict[str, object]) -> list[tuple[int, str, str]]:
    """Line, code and reason of each fault."""
    table = read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows)), None)
    return (
        find_faults(table, one_instruction=table["instruction"].drop_nulls().n_unique() <= 1)
        .join(table, on="row_id")
        .sort("line", "code", "reason")
        .select("line", "code", "reason")
        .rows()
    )


def test_fit_rows_have_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, ticket(1), ticket(2, input="line one\r\n\tline two, Ünïcödé 🙂")) == []


@pytest.mark.parametrize("output", [None, "", " \n", "\u00a0\u2003"])
def test_rejects_a_row_without_an_answer(tmp_path: Path, output: str | None) -> None:
    assert faults(tmp_path, ticket(1), ticket(2, output=output)) == [(2, "EMPTY_OUTPUT", "output is empty")]


def test_rejects_a_row_whose_answer_is_not_text(tmp_path: Path) -> None:
    assert faults(tmp_path, ticket(1, output=7), ticket(2)) == [(1, "NOT_TEXT", "output is of type int")]


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\x1b", "\x7f", "\x80", "\x9f"])
def test_rejects_control_characters_in_any_field(tmp_path: Path, field: str, character: str) -> None:
    found = faults(tmp_path, ticket(1), ticket(2, **{field: f"a{character}b"}))
    assert found == [(2, "CONTROL_CHARACTERS", f"{field} holds a control character")]


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_rejects_a_row_without_an_input_when_all_share_one_instruction(tmp_path: Path, blank: str | None) -> None:
    assert [fault[:2] for fault in faults(tmp_path, ticket(1), ticket(2, input=blank))] == [(2, "EMPTY_INPUT")]


def test_rejects_a_row_without_an_input_beside_a_constant_instruction(tmp_path: Path) -> None:
    table = read_table(labelled_csv(write_csv(tmp_path / "a.csv", ["text", "category"], [["a", "x"], ["", "x"]])), None)
    assert find_faults(table, one_instruction=table["instruction"].drop_nulls().n_unique() <= 1)["code"].to_list() == ["EMPTY_INPUT"]


def test_an_instruction_of_its_own_needs_no_input(tmp_path: Path) -> None:
    rows = [ticket(1, instruction="Name a colour.", input=""), ticket(2, instruction="Name a fruit.", input=None), ticket(3)]
    assert faults(tmp_path, *rows) == []


def test_rejects_a_row_with_neither_instruction_nor_input(tmp_path: Path) -> None:
    rows = [ticket(1), ticket(2, instruction="Another."), ticket(3, instruction=" ", input=" ")]
    assert [fault[:2] for fault in faults(tmp_path, *rows)] == [(3, "EMPTY_INPUT")]


def test_finds_every_fault_of_a_row(tmp_path: Path) -> None:
    codes = [code for _, code, _ in faults(tmp_path, ticket(1), ticket(2, input=None, output=None))]
    assert codes == ["EMPTY_INPUT", "EMPTY_OUTPUT"]


def test_checks_rows_even_if_the_environment_switches_pandera_off(tmp_path: Path) -> None:
    from pandera.config import ValidationDepth, config_context

    with config_context(validation_enabled=False, validation_depth=ValidationDepth.SCHEMA_ONLY):
        assert len(faults(tmp_path, ticket(1), ticket(2, output=None))) == 1


def test_no_reason_repeats_a_value_of_the_row(tmp_path: Path) -> None:
    secret = "hunter2"
    for row in (ticket(2, input=f"{secret}\x00"), ticket(2, output=[secret]), ticket(2, input=secret, output="")):
        assert all(secret not in reason for _, _, reason in faults(tmp_path, ticket(1), row))


@pytest.mark.parametrize(
    "broken",
    [
        lambda table: table.drop("line"),
        lambda table: table.with_columns(pl.col("line").cast(pl.String)),
        lambda table: table.with_columns(line=pl.lit(0, dtype=pl.Int64)),
        lambda table: pl.concat([table, table]),
    ],
    ids=["a column is missing", "a type is wrong", "a line is zero", "an id is there twice"],
)
def test_a_table_that_is_not_canonical_is_an_error_not_a_fault(broken: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    row = {"row_id": "a", "from_test": False, "file": "f", "line": 1, "input": "i", "output": "o"}
    with pytest.raises(DataError, match="not canonical"):
        find_faults(one_instruction=True, table=broken(pl.DataFrame([row], schema=TABLE)))


def test_a_column_without_text_in_a_parquet_file_is_a_fault_of_each_row(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": [0, 1]}).write_parquet(tmp_path / "a.parquet")
    source = SourceConfig(path=tmp_path / "a.parquet", columns=ColumnMapping(instruction=None, input="text", output="label"))
    assert find_faults(read_table(source, None), one_instruction=True)["code"].to_list() == ["NOT_TEXT"] * 2
