"""Rows that do not fit into the model's context: found, and shortened if that is wanted."""

import functools
import json
from collections.abc import Callable, Collection
from typing import NamedTuple

import polars as pl

from pipeline_config.data import SensitiveKind
from tasks.data.chats import messages_of
from tasks.data.quarantine import faults_of
from tasks.data.template import CountTokens
from tasks.masking import mask_text
from tasks.rows import Message, to_messages

Fits = Callable[[list[Message]], bool]
_CHAT = ("instruction", "input", "output", "turns")
_GROWTH = 33
"""UTF-8 bytes that one character becomes at most when a tokenizer normalises it: U+FDFA under NFKC."""
_SLACK = 16
"""Tokens that a field's edges may cost beyond its own: white space and word starts that the tokenizer adds."""


class Shortened(NamedTuple):
    """The table with shortened rows, and the ids of these."""

    table: pl.DataFrame
    row_ids: list[str]


def find_too_long(table: pl.DataFrame, max_length: int, count_tokens: CountTokens) -> pl.DataFrame:
    """Finds rows of more than `max_length` tokens.

    Counting is slow, so only rows that could be too long are counted. A token stands for at least one byte of the normalised text:
    ASCII stays one byte a character, any other character becomes at most 33. To that come the template's own tokens, which are measured
    on a chat with the same turns and one letter in each; of several turns, each is given as much as a whole chat of two.

    Returns:
        Row id, code `TOO_LONG` and reason of each such row (`tasks.data.quarantine.FAULTS`).
    """

    @functools.cache
    def template_tokens(with_instruction: bool, with_input: bool) -> int:
        return count_tokens(to_messages("a" if with_instruction else None, "a" if with_input else None, "a")) + _SLACK

    faults = []
    text = pl.sum_horizontal(map(_bound, ("instruction", "input", "output")))
    turns = pl.col("turns").str.count_matches('"role"').fill_null(0)
    for row_id, instruction, user, answer, chat, length, count in table.select("row_id", *_CHAT, length=text, count=turns).iter_rows():
        if length + template_tokens(instruction is not None, user is not None) * max(1, count) <= max_length:
            continue
        tokens = count_tokens(messages_of(instruction, user, answer, chat))
        if tokens > max_length:
            faults.append((row_id, "TOO_LONG", f"{tokens} tokens, and the context has {max_length} (model.max_length)"))
    return faults_of(faults)


def shorten(
    table: pl.DataFrame, too_long: pl.DataFrame, max_length: int, count_tokens: CountTokens, masked_kinds: Collection[SensitiveKind] = ()
) -> Shortened:
    """Cuts the end of the last user turn, as little as needed. Rows that are too long without it stay as they are.

    Args:
        table: rows of the canonical table.
        too_long: as of :func:`find_too_long`.
        masked_kinds: masked in what is left, because a cut can make an address of what was none, which serving would mask.
    """
    rows = table.join(too_long, on="row_id", how="semi").select("row_id", *_CHAT)

    def fits(messages: list[Message]) -> bool:
        return count_tokens(messages) <= max_length

    def left_of(text: str) -> str:
        return mask_text(text.rstrip(), masked_kinds).text

    cuts = ((row_id, _cut(system, text, answer, turns, fits, left_of)) for row_id, system, text, answer, turns in rows.iter_rows())
    shorter = [(row_id, *cut) for row_id, cut in cuts if cut is not None]
    changed = pl.DataFrame(shorter, schema={"row_id": pl.String, "input": pl.String, "turns": pl.String}, orient="row")
    return Shortened(table.update(changed, on="row_id", how="left", maintain_order="left"), changed["row_id"].to_list())


def _cut(
    instruction: str | None, text: str | None, answer: str, turns: str | None, fits: Fits, left_of: Callable[[str], str]
) -> tuple[str, str | None] | None:
    """`input` and `turns` of the longest shortened row that fits; nothing if there is none."""
    several = json.loads(turns) if turns else [{"role": "user", "content": text or ""}, {"role": "assistant", "content": answer}]
    opening: list[Message] = [{"role": "system", "content": instruction}] if instruction else []
    last = max((place for place, turn in enumerate(several) if turn["role"] == "user"), default=0)
    whole, low, high = several[last]["content"], 0, len(several[last]["content"])

    def cut_at(length: int) -> list[Message]:
        several[last]["content"] = left_of(whole[:length])
        return [*opening, *several]

    while high - low > 1:  # a row of `low` characters fits if any does, one of `high` does not
        middle = (low + high) // 2
        low, high = (middle, high) if fits(cut_at(middle)) else (low, middle)
    if not fits(cut_at(low)) or not several[last]["content"]:
        return None
    return "\n".join(turn["content"] for turn in several[:-1]), json.dumps(several, ensure_ascii=False) if turns else None


def _bound(name: str) -> pl.Expr:
    text = pl.col(name).fill_null("")
    return text.str.len_chars() + (_GROWTH - 1) * text.str.count_matches(r"[^\x00-\x7F]")
