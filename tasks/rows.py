"""The canonical row: a chat with a stable identity, and its Parquet form."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired

import polars as pl
from typing_extensions import TypedDict

from pipeline_config.errors import DataError
from tasks.files import sha256_json


class Message(TypedDict):
    """One turn of a chat. `role` is `system`, `user`, `assistant` or `tool`.

    `tool_calls` is JSON text, as `tasks.tool_calls.parse_tool_calls` reads it. The key is absent where nothing is called.
    """

    role: str
    content: str
    tool_calls: NotRequired[str]


class Row(TypedDict):
    """A chat that ends with the assistant's answer.

    `row_id` stays the same when other rows come or go; `digest` is the SHA-256 of the messages; rows of one `group` never
    stand on two sides of a split.
    """

    row_id: str
    digest: str
    group: str
    messages: list[Message]


TEST_COLUMNS = "test_columns.parquet"
"""Beside the test rows: `row_id`, `source` (the file that a row came from) and the columns of `data.source.slice_columns`, as text."""

BENCHMARK_FILE = "benchmark.parquet"
"""Beside them, where `data.split.benchmark_paths` names some: what rows of benchmarks say, in the normalised form of `normal`."""

CHILDREN_FILE = "children.parquet"
"""Beside training rows of which some were made from others by augmentation: `row_id` and `parent` of each, and how it was made."""

MESSAGES = pl.List(pl.Struct({"role": pl.String(), "content": pl.String(), "tool_calls": pl.String()}))
"""A chat as a column; `tool_calls` is null where the message has no such key."""

SCHEMA = pl.Schema({"row_id": pl.String(), "digest": pl.String(), "group": pl.String(), "messages": MESSAGES})


def to_messages(instruction: str | None, text: str | None, answer: str) -> list[Message]:
    """Instruction + input become system + user turn; without an input, or without an instruction, there is a user turn only."""
    turns = [turn for turn in (instruction, text) if turn]
    roles = ("system", "user") if len(turns) == 2 else ("user",)
    asked: list[Message] = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
    return [*asked, {"role": "assistant", "content": answer}]


def messages_digest(messages: list[Message]) -> str:
    """SHA-256 of the chat's canonical JSON: role and content of each turn, and its tool calls where there are any."""
    return sha256_json([[turn["role"], turn["content"], *([turn["tool_calls"]] if "tool_calls" in turn else [])] for turn in messages])


def prompt_of(row: Row) -> list[Message]:
    """The chat without its last answer."""
    return row["messages"][:-1]


def answer_of(row: Row) -> str:
    """The text of the last answer, without its tool calls."""
    return row["messages"][-1]["content"]


def spread_evenly(count: int, rows: int) -> list[int]:
    """Indices of `count` rows out of `rows`, at equal distances; all of them if there are no more."""
    return [index * rows // count for index in range(count)] if rows > count else list(range(rows))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as Parquet."""
    write_table(path, [pl.DataFrame(list(rows), schema=SCHEMA)])


def write_table(path: Path, frames: Iterable[pl.DataFrame]) -> None:
    """As :func:`write_rows`, for rows that are columns already, one part after another.

    Raises:
        DataError: the columns are not those of :data:`SCHEMA`, or there is a null elsewhere than in `tool_calls`.
    """
    from pyarrow.parquet import ParquetWriter

    form = pl.CompatLevel.oldest()  # Parquet knows no views
    draft = path.with_name(f".{path.name}.draft")
    try:
        with ParquetWriter(draft, pl.DataFrame(schema=SCHEMA).to_arrow(compat_level=form).schema) as writer:
            for frame in frames:
                _require_whole(path, frame)
                writer.write_table(frame.to_arrow(compat_level=form))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _require_whole(path: Path, frame: pl.DataFrame) -> None:
    if frame.schema != SCHEMA:
        raise DataError(f"rows cannot be written with the columns {_described(frame.schema)}", where=str(path), expected=_described(SCHEMA))
    turns = frame["messages"].explode(empty_as_null=True)
    needed = [*frame.get_columns(), *(turns.struct.field(name) for name in ("role", "content"))]
    lacking = [f"{values.null_count()} without {values.name}" for values in needed if values.null_count()]
    if lacking:
        raise DataError(
            f"rows cannot be written: {', '.join(lacking)}", where=str(path), expected="a value in every field, and a turn in every chat"
        )


def read_rows(path: Path) -> list[Row]:
    """Reads what :func:`write_rows` wrote, in the same order."""
    return rows_in(pl.read_parquet(path, columns=list(SCHEMA)))


def rows_in(frame: pl.DataFrame) -> list[Row]:
    """The rows of a table with the columns of :data:`SCHEMA`, in the same order."""
    return [
        {"row_id": row_id, "digest": digest, "group": group, "messages": [_as_message(turn) for turn in messages]}
        for row_id, digest, group, messages in frame.select(*SCHEMA).iter_rows()
    ]


def _as_message(turn: Any) -> Message:
    """A message from Parquet, where the field of an absent key is null. Takes the key out in place: a copy of every turn takes longer."""
    if turn["tool_calls"] is None:
        del turn["tool_calls"]
    return turn  # type: ignore[no-any-return]


def _described(schema: pl.Schema) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in schema.items())
