"""Which rows say the same, and which must stay on one side of a split."""

import unicodedata

import polars as pl

from tasks.files import sha256_bytes


def normalise(text: str | None) -> str:
    """NFKC, case-folded, white space collapsed: texts that are equal after this count as equal."""
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())


def add_keys(table: pl.DataFrame) -> pl.DataFrame:
    """Adds digests of what rows have in common.

    `prompt` is the normalised instruction and input. `text` is the normalised input alone, or the instruction where there is no input:
    rows stay together when only the instruction's wording differs, so rewording it does not move the test set. `group` is that of
    `group_value`, or else of `text`. `normal` is what `text` is the digest of.
    """
    instructions, inputs = ([normalise(value) for value in table[name]] for name in ("instruction", "input"))
    normal = [text or instruction for instruction, text in zip(instructions, inputs, strict=True)]
    texts = [_digest(text) for text in normal]
    groups = [text if value is None else _digest(f"group {value}") for text, value in zip(texts, table["group_value"], strict=True)]
    prompts = [_digest(f"{instruction}\n{text}") for instruction, text in zip(instructions, inputs, strict=True)]
    keys = {"prompt": prompts, "text": texts, "group": groups, "normal": normal}
    return table.with_columns(pl.Series(name, values, dtype=pl.String) for name, values in keys.items())


def drop_duplicates(table: pl.DataFrame) -> pl.DataFrame:
    """Sorts by id and keeps the first of the rows with equal prompt and answer, within each source file."""
    return table.sort("row_id").unique(["from_test", "prompt", "output"], keep="first", maintain_order=True)


def _digest(text: str) -> str:
    return sha256_bytes(text.encode())[:32]
