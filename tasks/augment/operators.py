"""The port of augmentation: texts in, other wordings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """A text to reword.

    Attributes:
        key: digest of everything that decides the candidate besides the operator: text, seed, number of the attempt.
        seed: the same seed and text give the same candidate.
    """

    key: str
    text: str
    seed: int


@dataclass(frozen=True)
class Candidate:
    """What an operator made of a request: a text, or the reason why there is none.

    Attributes:
        text: null if there is none.
        reason: short and the same for all of a kind, because rejections are counted by it: `nothing to replace`, `HTTP 429`, `time-out`.
        final: the same request will never give anything else, so that it is not made again. Not so where an endpoint was away.
        cost: what an endpoint charged for it, in the configuration's currency; also where it came to nothing.
    """

    key: str
    text: str | None
    reason: str | None = None
    final: bool = True
    cost: float = 0.0


class Operator(Protocol):
    """Makes other wordings of texts.

    `name` is that of its section in the configuration. `version` digests everything but the request that decides a candidate: data, model
    and settings. It goes into the stage's key and beside every child.
    """

    @property
    def name(self) -> str:
        """As in the configuration."""
        ...

    @property
    def version(self) -> str:
        """A SHA-256."""
        ...

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        """One candidate for each request, in any order, as soon as it is there: what was handed out is kept if the process is killed.

        Never raises for a text or an endpoint that misbehaves; that is a candidate without text.
        """
        ...


@dataclass(frozen=True)
class Missing:
    """An operator that cannot be had on this machine.

    Attributes:
        needs: what is not there, such as "WordNet's files".
        command: the one command that brings it.
    """

    name: str
    needs: str
    command: str
