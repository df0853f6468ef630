"""The only place that knows chat templates, end-of-turn tokens and which tokens carry loss."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.rows import Message, Row, prompt_of

Tokenizer = Any
"""A Hugging Face fast tokenizer; the library ships no usable types."""


class EncodedRow(TypedDict):
    """Token ids of a row. Loss is on `completion_ids` only, which end with the end-of-turn token."""

    row_id: str
    prompt_ids: list[int]
    completion_ids: list[int]


def encode_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Token ids up to and including the header of the assistant's turn."""
    return list(tokenizer(_render(tokenizer, messages, answer_follows=True), add_special_tokens=False)["input_ids"])


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of an answer and the end-of-turn token after it."""
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def encode_row(tokenizer: Tokenizer, row: Row) -> EncodedRow:
    """Splits a row into prompt and completion, exactly as generation will see it.

    Raises:
        ModelError: the template changes earlier turns when an answer is added, or ends an answer without the end-of-turn token.
    """
    prompt, whole = _render(tokenizer, prompt_of(row), answer_follows=True), _render(tokenizer, row["messages"], answer_follows=False)
    answer, end, _ = whole[len(prompt) :].rpartition(tokenizer.eos_token)
    if not whole.startswith(prompt) or not end:
        raise ModelError(
            "the chat template cannot be split into a prompt and an answer", where=f"row {row['row_id']}",
            expected=f"the rendered chat to start with its prompt and to close the answer with {tokenizer.eos_token!r}",
            hint="use an instruct model whose tokenizer has a plain chat template",
        )  # fmt: skip
    return {
        "row_id": row["row_id"],
        "prompt_ids": list(tokenizer(prompt, add_special_tokens=False)["input_ids"]),
        "completion_ids": encode_text(tokenizer, answer),
    }


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Text of generated tokens, without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def count_tokens_of(config: ModelConfig, workspace: Path) -> Callable[[list[Message]], int]:
    """A function that counts the tokens of a whole chat, answer included. Loads the tokenizer."""
    from tasks.models import load_tokenizer

    tokenizer = load_tokenizer(config, workspace)
    return lambda messages: len(tokenizer(_render(tokenizer, messages, answer_follows=False), add_special_tokens=False)["input_ids"])


def _render(tokenizer: Tokenizer, messages: Sequence[Message], *, answer_follows: bool) -> str:
    return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=answer_follows))
