"""Instruction, input and answer become one chat, and come back from Parquet unchanged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rows import Row, answer_of, messages_digest, prompt_of, read_rows, to_messages, write_rows


def test_instruction_and_input_are_system_and_user() -> None:
    assert [turn["role"] for turn in to_messages("do it", "text", "label")] == ["system", "user", "assistant"]


@pytest.mark.parametrize(("instruction", "text"), [("do it", None), ("do it", ""), (None, "do it")])
def test_with_one_of_them_only_there_is_no_system_turn(instruction: str | None, text: str | None) -> None:
    assert to_messages(instruction, text, "label") == [{"role": "user", "content": "do it"}, {"role": "assistant", "content": "label"}]


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
