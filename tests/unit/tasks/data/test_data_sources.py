"""From the records of source files to the canonical table."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import ColumnMapping, SourceConfig
from pipeline_config.errors import DataError
from tasks.data.chats import messages_of
from tasks.data.schema import find_faults
from tasks.data.sources import Source, source_digests
from tests.unit.tasks.data.data_builders import labelled_csv, read_table, ticket, write_csv, write_jsonl


def refusal(source: SourceConfig, group_column: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_table(source, group_column)
    return str(caught.value)


def write_parquet(path: Path, rows: list[dict[str, object]]) -> Path:
    pl.DataFrame(rows).write_parquet(path)
    return path


def as_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    return write_csv(path, list(rows[0]), [[str(value) for value in row.values()] for row in rows])


@pytest.mark.parametrize(
    ("name", "write", "first"), [("a.jsonl", write_jsonl, 1), ("a.csv", as_csv, 2), ("a.parquet", write_parquet, 1), ("A.CSV", as_csv, 2)]
)
def test_reads_each_format_with_the_place_of_each_row(
    tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, object]]], Path], first: int
) -> None:
    table = read_table(SourceConfig(path=write(tmp_path / name, [ticket(1), ticket(2)])), None)
    assert table["input"].to_list() == ["ticket 1 for network", "ticket 2 for network"]
    assert table["output"].to_list() == ["network"] * 2
    assert table["file"].to_list() == [name] * 2
    assert table["line"].to_list() == [first, first + 1]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_reads_csv_with_or_without_a_byte_order_mark_and_with_either_line_end(tmp_path: Path, bom: bytes, end: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(bom + end.join([b"text,category", "Schlüssel verloren,access".encode(), b""]))
    table = read_table(labelled_csv(path), None)
    assert table.select("instruction", "input", "output").rows() == [("Name the intent.", "Schlüssel verloren", "access")]


def test_reads_jsonl_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_table(SourceConfig(path=path), None).height == 1


def test_a_row_over_several_lines_is_placed_at_its_first_line_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,category\n"two\nlines",a\n\n"say ""hi""",b\n', encoding="utf-8")
    table = read_table(labelled_csv(path), None)
    assert table.select("line", "input").rows() == [(2, "two\nlines"), (5, 'say "hi"')]


def test_reads_all_files_of_a_folder_packed_ones_too(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", [ticket(2)])
    with gzip.open(tmp_path / "a.csv.gz", "wt") as stream:
        stream.write("instruction,input,output\nName the queue.,first,network\n")
    table = read_table(SourceConfig(path=tmp_path), None)
    assert table.select("file", "input").rows() == [("a.csv.gz", "first"), ("b.jsonl", "ticket 2 for network")]
    assert [name for name, _ in source_digests(SourceConfig(path=tmp_path))] == ["a.csv.gz", "b.jsonl"]


def test_a_line_that_cannot_be_read_is_a_row_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"input": "a", "output": "b"}\n{"input": \n["a"]\n{"input": "caf\xe9"}\n{"input": "c", "output": "d"}\n')
    table = read_table(SourceConfig(path=path), None)
    assert table["line"].to_list() == [1, 2, 3, 4, 5]
    assert table["fault"].to_list() == [None, *["UNREADABLE_LINE"] * 3, None]
    assert table["row_id"].n_unique() == 5
    faults = find_faults(table, one_instruction=True)
    assert faults["code"].to_list() == ["UNREADABLE_LINE"] * 3
    assert not faults["reason"].str.contains("caf").any()


def test_reads_the_test_file_behind_the_training_file(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["text", "category"], [["a", "x"]])
    test = write_csv(tmp_path / "test.csv", ["text", "category"], [["b", "x"]])
    table = read_table(labelled_csv(train, test_path=test), None)
    assert table.select("from_test", "file").rows() == [(False, "train.csv"), (True, "test.csv")]


def test_cuts_white_space_off_an_answer_and_makes_blank_fields_null(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl", [ticket(1, input="  as written ", output=" network\n"), ticket(2, instruction=" \t", input="")]
    )
    table = read_table(SourceConfig(path=path), None)
    assert table.select("instruction", "input", "output").rows() == [
        ("Name the queue.", "  as written ", "network"),
        (None, None, "network"),
    ]


@pytest.mark.parametrize("value", [3, 2.5, True, ["a"], {"a": 1}])
def test_says_which_field_is_not_text(tmp_path: Path, value: object) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1, output=value)])
    table = read_table(SourceConfig(path=path), None)
    assert table.select("fault", "fault_reason").rows() == [("NOT_TEXT", f"output is of type {type(value).__name__}")]


def test_half_a_surrogate_pair_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"instruction": "i", "input": "\\ud83d broken", "output": "o"}\n', encoding="utf-8")
    assert read_table(SourceConfig(path=path), None)["fault_reason"].to_list() == ["input is not valid Unicode"]


def test_a_row_keeps_its_id_when_rows_are_added_before_it(tmp_path: Path) -> None:
    before = read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", [ticket(1), ticket(2)])), None)
    after = read_table(SourceConfig(path=write_jsonl(tmp_path / "b.jsonl", [ticket(3), ticket(2), ticket(1)])), None)
    assert set(before["row_id"]) < set(after["row_id"])


def test_equal_rows_have_different_ids(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1), ticket(1)])
    assert read_table(SourceConfig(path=path, test_path=path), None)["row_id"].n_unique() == 4


def test_a_reworded_constant_instruction_changes_no_id(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["text", "category"], [["a", "x"]])
    one, other = (read_table(labelled_csv(path, instruction=text), None) for text in ("Name it.", "Classify it."))
    assert one["row_id"].to_list() == other["row_id"].to_list()


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tickets.jsonl", [ticket(1)])
    message = refusal(SourceConfig(path=tmp_path / "tikets.jsonl"))
    assert "does not exist" in message
    assert "did you mean `tickets.jsonl`?" in message


def test_a_missing_test_file_is_refused_before_digests_are_taken(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(1)])
    with pytest.raises(DataError, match="does not exist"):
        source_digests(SourceConfig(path=path, test_path=tmp_path / "b.jsonl"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "the file is empty" in refusal(SourceConfig(path=tmp_path / name))


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    assert "the file has no rows" in refusal(labelled_csv(write_csv(tmp_path / "a.csv", ["text", "category"], [])))


def test_an_unknown_column_is_refused_with_the_columns_found(tmp_path: Path) -> None:
    message = refusal(labelled_csv(write_csv(tmp_path / "a.csv", ["text", "categori"], [["a", "x"]])))
    assert "unknown column `category`" in message
    assert "text, categori" in message
    assert "did you mean `categori`?" in message


def test_an_unknown_group_column_is_refused(tmp_path: Path) -> None:
    assert "unknown column `customer`" in refusal(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", [ticket(1)])), "customer")


def test_a_forgotten_input_column_is_refused_beside_a_constant_instruction(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["text", "category"], [["a", "x"]])
    source = SourceConfig(path=path, columns=ColumnMapping(output="category"), instruction="Name it.")
    assert "unknown column `input`" in refusal(source)


def test_a_file_with_nothing_to_ask_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"output": "x"}])
    assert "unknown columns `instruction`, `input`" in refusal(SourceConfig(path=path, columns=ColumnMapping()))
    assert "the columns fit no known format: output" in refusal(SourceConfig(path=path))


@pytest.mark.parametrize("absent", ["instruction", "input"])
def test_one_of_the_asking_columns_may_be_absent_under_its_default_name(tmp_path: Path, absent: str) -> None:
    row = {name: value for name, value in ticket(1).items() if name != absent}
    assert read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", [row])), None)[absent].to_list() == [None]


def test_a_chat_of_one_question_is_a_plain_row_and_one_of_several_keeps_its_turns(tmp_path: Path) -> None:
    plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    longer = [*plain, {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "See you"}]
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": plain}, {"messages": longer}])
    table = read_table(SourceConfig(path=path))
    assert table.select("instruction", "input", "output").rows() == [
        ("Be brief.", "Hi", "Hello"),
        ("Be brief.", "Hi\nHello\nBye", "See you"),
    ]
    assert table["turns"].is_null().to_list() == [True, False]
    assert [messages_of(*row) for row in table.select("instruction", "input", "output", "turns").iter_rows()] == [plain, longer]


def test_a_constant_instruction_opens_chats_that_have_no_system_turn(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": asked}, {"messages": [{"role": "system", "content": "Own."}, *asked]}])
    assert read_table(SourceConfig(path=path, instruction="Given."))["instruction"].to_list() == ["Given.", "Own."]


def test_a_record_that_is_no_chat_is_a_row_with_code_and_reason(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "Hi"}]}, {"messages": [{"role": "user", "content": "Hi"}]}, {"messages": []}]
    table = read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows)))
    assert table["fault"].to_list() == ["ROLES", "ROLES", "NO_TURNS"]
    assert table["row_id"].n_unique() == 3


def test_the_format_is_told_and_said(tmp_path: Path) -> None:
    source = Source(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", [{"prompt": "Hi", "completion": "Hello"}] * 3)), None)
    table = pl.concat(source.shards())
    assert table.select("input", "output").rows() == [("Hi", "Hello")] * 3
    assert source.format is not None
    assert source.format.why == "the format is prompt_completion, because 3 of 3 records looked at have `prompt` and `completion`"


def test_shards_hold_as_many_rows_as_asked_for_and_miss_none(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [ticket(number) for number in range(7)])
    shards = list(Source(SourceConfig(path=path, test_path=path), None).shards(rows=3))
    assert [shard.height for shard in shards] == [3, 3, 3, 3, 2]
    assert pl.concat(shards)["row_id"].n_unique() == 14


def test_digests_follow_the_bytes_not_the_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, same = write_jsonl(tmp_path / "a.jsonl", [ticket(1)]), write_jsonl(tmp_path / "other" / "a.jsonl", [ticket(1)])
    assert source_digests(SourceConfig(path=one)) == source_digests(SourceConfig(path=same))
    write_jsonl(same, [ticket(2)])
    assert source_digests(SourceConfig(path=one)) != source_digests(SourceConfig(path=same))
