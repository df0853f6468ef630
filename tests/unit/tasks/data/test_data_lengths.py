"""Rows longer than the context."""

import json
import unicodedata
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import SourceConfig
from tasks.data.lengths import find_too_long, shorten
from tasks.data.sources import TABLE
from tasks.masking import mask_text
from tasks.rows import Message, to_messages
from tests.unit.tasks.data.data_builders import count_words, read_table, ticket, write_jsonl


def count_bytes(messages: list[Message]) -> int:
    """The most tokens that a tokenizer makes of text: one for each byte after NFKC, plus a template."""
    return sum(len(unicodedata.normalize("NFKC", message["content"]).encode()) + 7 for message in messages)


def table_of(instruction: str | None, text: str | None, answer: str) -> pl.DataFrame:
    row = {"row_id": "a-1", "from_test": False, "file": "f", "line": 1, "instruction": instruction, "input": text, "output": answer}
    return pl.DataFrame([row], schema=TABLE)


def test_finds_the_rows_that_are_longer_than_the_context(tmp_path: Path) -> None:
    rows = [ticket(1, input="word " * 10), ticket(2, input="word " * 84), ticket(3, input="word " * 85)]
    table = read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", rows)), None)
    found = find_too_long(table, 100, count_words)
    assert found.select("row_id", "code").rows() == [(table["row_id"][2], "TOO_LONG")]
    assert "101 tokens" in found["reason"][0]
    assert "100" in found["reason"][0]


def test_counts_no_row_that_must_fit(tmp_path: Path) -> None:
    table = read_table(SourceConfig(path=write_jsonl(tmp_path / "a.jsonl", [ticket(number) for number in range(50)])), None)
    counted: list[list[Message]] = []
    find_too_long(table, 512, lambda messages: counted.append(messages) or count_words(messages))
    assert len(counted) == 1  # the template


@given(
    instruction=st.none() | st.text(min_size=1, max_size=20),
    text=st.text(min_size=1, max_size=60) | st.sampled_from(["\ufdfa" * 8, "é" * 40]),
    answer=st.text(min_size=1, max_size=20),
    max_length=st.integers(16, 200),
)
def test_never_misses_a_row_whatever_the_characters(instruction: str | None, text: str, answer: str, max_length: int) -> None:
    too_long = count_bytes(to_messages(instruction, text, answer)) > max_length
    assert find_too_long(table_of(instruction, text, answer), max_length, count_bytes).height == too_long


def long_row(user: str, answer: str = "network") -> pl.DataFrame:
    return table_of("Name the queue.", user, answer)


def shortened(table: pl.DataFrame, most: int) -> tuple[pl.DataFrame, list[str]]:
    return shorten(table, find_too_long(table, most, count_words), most, count_words)


def test_shortening_cuts_the_end_of_the_users_turn_and_no_more_than_needed() -> None:
    table, row_ids = shortened(long_row(" ".join(f"w{n}" for n in range(90))), 40)
    assert row_ids == ["a-1"]
    assert table["input"].item() == " ".join(f"w{n}" for n in range(40 - 12 - 3 - 1))
    assert table.select("instruction", "output").row(0) == ("Name the queue.", "network")
    assert find_too_long(table, 40, count_words).is_empty()


def test_a_row_that_is_too_long_without_its_user_turn_is_not_shortened() -> None:
    table = long_row("short", answer=" ".join(["long"] * 90))
    same, row_ids = shortened(table, 40)
    assert row_ids == []
    assert same.equals(table)


def test_a_cut_that_makes_an_address_of_a_file_name_is_masked_as_serving_would() -> None:
    def count_characters(messages: list[Message]) -> int:
        return sum(len(message["content"]) for message in messages)

    row = long_row("the new logo is in bob@example.com.png and nowhere else")
    cut = set()
    for most in range(30, 76):
        table, row_ids = shorten(row, find_too_long(row, most, count_characters), most, count_characters, ["email"])
        if row_ids:
            cut.add(table["input"][0])
    assert len(cut) > 20
    assert "the new logo is in <EMAIL>" in cut
    assert all(mask_text(text, ["email"]).text == text for text in cut)


def test_of_several_turns_the_last_one_of_the_user_is_shortened() -> None:
    turns = [
        {"role": "user", "content": "first question"}, {"role": "assistant", "content": "which"},
        {"role": "user", "content": " ".join(["word"] * 90)}, {"role": "assistant", "content": "network"},
    ]  # fmt: skip
    table = long_row("unused").with_columns(turns=pl.lit(json.dumps(turns)))
    short, row_ids = shortened(table, 40)
    assert row_ids == ["a-1"]
    kept = json.loads(short["turns"].item())
    assert [turn["content"] for turn in kept][:2] == ["first question", "which"]
    assert set(kept[2]["content"].split()) == {"word"}
    assert short["input"].item() == "\n".join(turn["content"] for turn in kept[:-1])
