"""Finds rows that do not fit into the model's context."""

import functools
from collections.abc import Callable

import polars as pl

from tasks.data.quarantine import faults_of
from tasks.rows import Message, to_messages

CountTokens = Callable[[list[Message]], int]
"""Tokens of a whole chat as the model sees it: template, answer and end-of-turn token included."""

_TEXTS = ("instruction", "input", "output")
_GROWTH = 33
"""UTF-8 bytes that one character becomes at most when a tokenizer normalises it: U+FDFA under NFKC."""
_SLACK = 16
"""Tokens that a field's edges may cost beyond its own: white space and word starts that the tokenizer adds."""


def find_too_long(table: pl.DataFrame, max_length: int, count_tokens: CountTokens) -> pl.DataFrame:
    """Finds rows of more than `max_length` tokens.

    Counting is slow, so only rows that could be too long are counted. A token stands for at least one byte of the normalised text:
    ASCII stays one byte a character, any other character becomes at most 33. To that come the template's own tokens, which are measured
    on a chat with the same turns and one letter in each.

    Returns:
        Row id, code `TOO_LONG` and reason of each such row (`tasks.data.quarantine.FAULTS`).
    """

    @functools.cache
    def template_tokens(with_instruction: bool, with_input: bool) -> int:
        return count_tokens(to_messages("a" if with_instruction else None, "a" if with_input else None, "a")) + _SLACK

    faults = []
    bounded = table.select("row_id", *_TEXTS, pl.sum_horizontal(map(_bound, _TEXTS)).alias("bound"))
    for row_id, instruction, text, answer, bound in bounded.iter_rows():
        if bound + template_tokens(instruction is not None, text is not None) <= max_length:
            continue
        tokens = count_tokens(to_messages(instruction, text, answer))
        if tokens > max_length:
            faults.append((row_id, "TOO_LONG", f"{tokens} tokens, and the context has {max_length} (model.max_length)"))
    return faults_of(faults)


def lazy_counter(load: Callable[[], CountTokens]) -> CountTokens:
    """Loads a tokenizer when the first chat is counted, so that a source that cannot be read is refused before."""
    loaded = functools.cache(load)
    return lambda messages: loaded()(messages)


def _bound(name: str) -> pl.Expr:
    text = pl.col(name).fill_null("")
    return text.str.len_chars() + (_GROWTH - 1) * text.str.count_matches(r"[^\x00-\x7F]")
