"""Rows longer than the context."""

import unicodedata
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import SourceConfig
from tasks.data.lengths import find_too_long, lazy_counter
from tasks.data.sources import TABLE
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


def test_a_tokenizer_is_loaded_once_and_only_when_something_is_counted() -> None:
    loads: list[int] = []

    def load() -> object:
        loads.append(1)
        return count_words

    count = lazy_counter(load)  # type: ignore[arg-type]
    assert loads == []
    assert [count(to_messages(None, "two words", "one")), count(to_messages(None, "a", "b"))] == [11, 10]
    assert loads == [1]
