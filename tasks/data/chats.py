"""From rows of the canonical table to chats, one by one or a column at a time."""

import json

import polars as pl

from tasks.rows import MESSAGES, Message, messages_digest, to_messages


def messages_of(instruction: str | None, text: str | None, answer: str, turns: str | None) -> list[Message]:
    """The chat of one row of `tasks.data.sources.TABLE`."""
    if turns is None:
        return to_messages(instruction, text, answer)
    opening: list[Message] = [] if instruction is None else [{"role": "system", "content": instruction}]
    return [*opening, *json.loads(turns)]


def with_digests(table: pl.DataFrame) -> pl.DataFrame:
    """Adds `digest`, that of each row's messages (`tasks.rows.messages_digest`)."""
    chats = (messages_of(*row) for row in table.select("instruction", "input", "output", "turns").iter_rows())
    return table.with_columns(pl.Series("digest", [messages_digest(chat) for chat in chats], dtype=pl.String))


def with_messages(table: pl.DataFrame) -> pl.DataFrame:
    """Adds `messages`, what :func:`messages_of` says for each row, without a loop over rows."""
    system, user, answer = _turn("system", "instruction"), _turn("user", "input"), _turn("assistant", "output")
    asked_alone = pl.concat_list(_turn("user", pl.coalesce("input", "instruction")), answer)
    opening = pl.when(pl.col("instruction").is_null()).then(pl.lit([], dtype=MESSAGES)).otherwise(pl.concat_list(system))
    several = opening.list.concat(pl.col("turns").str.json_decode(MESSAGES))
    plain = pl.when(pl.all_horizontal(pl.col("instruction", "input").is_not_null())).then(pl.concat_list(system, user, answer))
    return table.with_columns(messages=pl.when(pl.col("turns").is_not_null()).then(several).otherwise(plain.otherwise(asked_alone)))


def _turn(role: str, content: str | pl.Expr) -> pl.Expr:
    text = pl.col(content) if isinstance(content, str) else content
    return pl.struct(role=pl.lit(role), content=text, tool_calls=pl.lit(None, dtype=pl.String))
