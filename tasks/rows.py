"""The canonical row: a chat with a stable identity, and its Parquet form."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl
from typing_extensions import TypedDict

from tasks.files import sha256_json


class Message(TypedDict):
    """One turn of a chat. `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


class Row(TypedDict):
    """A chat that ends with the assistant's answer.

    `row_id` stays the same when other rows come or go; `digest` is the SHA-256 of the messages; rows of one `group` never
    stand on two sides of a split.
    """

    row_id: str
    digest: str
    group: str
    messages: list[Message]


SCHEMA = pl.Schema(
    {
        "row_id": pl.String(),
        "digest": pl.String(),
        "group": pl.String(),
        "messages": pl.List(pl.Struct({"role": pl.String(), "content": pl.String()})),
    }
)


def to_messages(instruction: str | None, text: str | None, answer: str) -> list[Message]:
    """Instruction + input become system + user turn; without an input, or without an instruction, there is a user turn only."""
    turns = [turn for turn in (instruction, text) if turn]
    roles = ("system", "user") if len(turns) == 2 else ("user",)
    asked: list[Message] = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
    return [*asked, {"role": "assistant", "content": answer}]


def messages_digest(messages: list[Message]) -> str:
    """SHA-256 of the chat's canonical JSON."""
    return sha256_json([[message["role"], message["content"]] for message in messages])


def prompt_of(row: Row) -> list[Message]:
    """The chat without its last answer."""
    return row["messages"][:-1]


def answer_of(row: Row) -> str:
    """The last answer."""
    return row["messages"][-1]["content"]


def spread_evenly(count: int, rows: int) -> list[int]:
    """Indices of `count` rows out of `rows`, at equal distances; all of them if there are no more."""
    return [index * rows // count for index in range(count)] if rows > count else list(range(rows))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as Parquet."""
    pl.DataFrame(list(rows), schema=SCHEMA).write_parquet(path)


def read_rows(path: Path) -> list[Row]:
    """Reads what :func:`write_rows` wrote, in the same order."""
    return [
        {"row_id": row["row_id"], "digest": row["digest"], "group": row["group"], "messages": row["messages"]}
        for row in pl.read_parquet(path).iter_rows(named=True)
    ]
