"""What rows are checked against: the model's tokenizer and its chat template."""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline_config.model import ModelConfig
from tasks.rows import Message

CountTokens = Callable[[list[Message]], int]
"""Tokens of a whole chat as the model sees it: template, answer and end-of-turn token included."""


@dataclass(frozen=True)
class ChatTemplate:
    """What preparation asks of a model.

    `control_tokens` are the texts that the tokenizer or the template gives a meaning, and `unrendered` says which features of a chat
    (`tasks.chat.Feature`) the template leaves out.
    """

    max_length: int
    count_tokens: CountTokens
    control_tokens: Callable[[], Collection[str]]
    unrendered: Callable[[], Collection[str]]


def template_of(model: ModelConfig, workspace: Path) -> ChatTemplate:
    """The template of a model. The tokenizer is loaded when it is first asked for: a source that cannot be read is refused before."""

    @functools.cache
    def tokenizer() -> object:
        from tasks.models import load_tokenizer

        return load_tokenizer(model, workspace)

    def count(messages: list[Message]) -> int:
        from tasks.chat import count_tokens

        return count_tokens(tokenizer(), messages)

    def control() -> Collection[str]:
        from tasks.chat import control_tokens

        return control_tokens(tokenizer())

    def left_out() -> Collection[str]:
        from tasks.chat import unrendered

        return unrendered(tokenizer())

    return ChatTemplate(model.max_length, count, functools.cache(control), functools.cache(left_out))
