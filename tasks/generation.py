"""Port: prompts in, texts out. One engine answers for the evaluation and for the embedded model server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tasks.drawing import Sampling
from tasks.rows import Message


@dataclass(frozen=True)
class Answer:
    """An answer. Token counts exclude padding; `stop` means that the model ended it by itself."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """A base model in memory with any number of adapters beside it. Safe to call from several threads."""

    @property
    def base_digest(self) -> str:
        """Digest of the base that is in memory."""
        ...

    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        ...

    def load_adapter(self, name: str, artifact: Path) -> None:
        """Loads a version's folder under a name; loading the same name twice is refused.

        Raises:
            ModelError: the folder does not match its manifest, belongs to another base, or the name is taken.
        """
        ...

    def unload_adapter(self, name: str) -> None:
        """Forgets an adapter.

        Raises:
            ModelError: no adapter has this name.
        """
        ...

    def answer(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        adapter: str | None,
        max_new_tokens: int,
        batch_size: int = 1,
        allowed: Sequence[str] | None = None,
        sampling: Sampling | None = None,
        on_answer: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        """Answers chats, in the order given.

        Args:
            prompts: chats that end with a turn of the user or of a tool.
            adapter: which adapter answers; null is the bare base.
            allowed: the only texts that may be answered; null allows any.
            sampling: how tokens are drawn, with a seed for each prompt; null always takes the best one.
            on_answer: called with the number of answers so far.
        """
        ...
