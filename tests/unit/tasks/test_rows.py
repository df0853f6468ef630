"""Instruction, input and answer become one chat, and come back from Parquet unchanged."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.errors import DataError
from tasks.rows import (
    MESSAGES,
    SCHEMA,
    Message,
    Row,
    answer_of,
    messages_digest,
    prompt_of,
    read_rows,
    to_messages,
    write_rows,
    write_table,
)


def test_instruction_and_input_are_system_and_user() -> None:
    assert [turn["role"] for turn in to_messages("do it", "text", "label")] == ["system", "user", "assistant"]


@pytest.mark.parametrize(("instruction", "text"), [("do it", None), ("do it", ""), (None, "do it")])
def test_with_one_of_them_only_there_is_no_system_turn(instruction: str | None, text: str | None) -> None:
    assert to_messages(instruction, text, "label") == [{"role": "user", "content": "do it"}, {"role": "assistant", "content": "label"}]


def test_the_digest_of_a_chat_without_calls_is_that_of_roles_and_texts() -> None:
    written = b'[["user","a"],["assistant","\xc3\xa4"]]'
    assert messages_digest(to_messages(None, "a", "ä")) == hashlib.sha256(written).hexdigest()


def test_the_digest_tells_calls_apart() -> None:
    calling: list[Message] = [{"role": "assistant", "content": "", "tool_calls": calls} for calls in ("[1]", "[2]")]
    silent: Message = {"role": "assistant", "content": ""}
    assert len({messages_digest([message]) for message in (*calling, silent)}) == 3


def test_the_digest_tells_roles_apart() -> None:
    assert messages_digest(to_messages("a", "b", "c")) != messages_digest(to_messages(None, "a", "b"))


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1)), max_size=5))
def test_rows_come_back_from_parquet(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]) -> None:
    path: Path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    chats = [to_messages(*text) for text in texts]
    rows: list[Row] = [{"row_id": str(i), "digest": messages_digest(c), "group": "g", "messages": c} for i, c in enumerate(chats)]
    write_rows(path, rows)
    assert read_rows(path) == rows
    assert [[*prompt_of(row), {"role": "assistant", "content": answer_of(row)}] for row in read_rows(path)] == chats


TURNS = st.builds(
    lambda role, content, calls: {"role": role, "content": content} | ({} if calls is None else {"tool_calls": calls}),
    st.sampled_from(["system", "user", "assistant", "tool"]), st.text(), st.none() | st.text(),
)  # fmt: skip


@given(st.lists(st.lists(TURNS, min_size=1, max_size=6), max_size=4))
def test_no_key_is_invented_where_nothing_is_called(tmp_path_factory: pytest.TempPathFactory, chats: list[list[Message]]) -> None:
    path: Path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    rows: list[Row] = [{"row_id": str(i), "digest": messages_digest(c), "group": "g", "messages": c} for i, c in enumerate(chats)]
    write_rows(path, rows)
    assert read_rows(path) == rows
    assert all(messages_digest(row["messages"]) == row["digest"] for row in read_rows(path))


def table(**columns: list[object]) -> pl.DataFrame:
    plain = {"row_id": ["r"], "digest": ["d"], "group": ["g"], "messages": [to_messages("do it", "text", "label")]}
    return pl.DataFrame(plain | columns, schema=SCHEMA)


def test_columns_are_written_as_rows_are(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.parquet", [table()])
    assert read_rows(tmp_path / "rows.parquet") == [
        {"row_id": "r", "digest": "d", "group": "g", "messages": to_messages("do it", "text", "label")}
    ]


@pytest.mark.parametrize(
    "frame",
    [
        table().select("row_id", "digest", "messages", "group"),
        table().with_columns(side=pl.lit("train")),
        table().with_columns(pl.col("messages").cast(pl.List(pl.Struct({"role": pl.String, "content": pl.String})))),
        table().with_columns(pl.lit(1).alias("group")),
    ],
    ids=["order", "one too many", "no tool calls", "type"],
)
def test_other_columns_are_refused(tmp_path: Path, frame: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="rows cannot be written with the columns row_id") as caught:
        write_table(tmp_path / "rows.parquet", [frame])
    assert str(MESSAGES) in caught.value.expected
    assert not (tmp_path / "rows.parquet").exists()


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [
        ({"digest": [None]}, "1 without digest"),
        ({"messages": [None]}, "1 without messages, 1 without role, 1 without content"),
        ({"messages": [[]]}, "1 without role, 1 without content"),
        ({"messages": [[{"role": "user", "content": None}, {"role": "user", "content": "a"}]]}, "1 without content"),
    ],
)
def test_gaps_are_refused(tmp_path: Path, columns: dict[str, list[object]], lacking: str) -> None:
    with pytest.raises(DataError) as caught:
        write_table(tmp_path / "rows.parquet", [table(**columns)])
    assert caught.value.what == f"rows cannot be written: {lacking}"
