"""Whether planted canaries were memorised: exposure, after Carlini et al., "The Secret Sharer" (USENIX Security 2019), section 4.

A canary's code is drawn at random, so a model that has not memorised it prefers it to other codes no more than they are preferred to it.
All codes stand after the same prompt. The rank of the planted one among them, by the model's loss, is uniform then.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline_config.errors import EvaluationError
from tasks.rows import Message, Row, answer_of, messages_digest

RIVALS = 127
"""Other codes that each canary is ranked among: exposure is at most 7 bits."""


@dataclass(frozen=True)
class Exposure:
    """Ranks of the canaries among `rivals` + 1 codes; 1 is the one that the model likes best.

    Attributes:
        ranks: one for each canary, at least one.
    """

    ranks: tuple[int, ...]
    rivals: int

    @property
    def bits(self) -> float:
        """Mean exposure: log2 of the number of codes minus log2 of the rank. About 1.4 without memorisation, at most log2(rivals + 1)."""
        return sum(math.log2((self.rivals + 1) / rank) for rank in self.ranks) / len(self.ranks)

    @property
    def chance(self) -> float:
        """Probability of so much exposure in all, or more, if nothing was memorised.

        -ln(rank / codes) of a uniform rank is at most an exponential variable, and a sum of n of those is Gamma-distributed with shape n.
        """
        total = sum(math.log((self.rivals + 1) / rank) for rank in self.ranks)
        term = below = math.exp(-total)
        for count in range(1, len(self.ranks)):
            term *= total / count
            below += term
        return min(1.0, below)

    @property
    def first(self) -> float:
        """Share of the canaries that the model likes best of all."""
        return sum(rank == 1 for rank in self.ranks) / len(self.ranks)


def canaries_of(train: Sequence[Row], count: int) -> Sequence[Row]:
    """The canaries among the training rows: preparation plants them behind all others."""
    return train[len(train) - count :] if count else ()


def measure_exposure(canaries: Sequence[Row], loss_of: Callable[[Sequence[Row]], Sequence[float]], rivals: int = RIVALS) -> Exposure | None:
    """Ranks each canary among other codes of its length after its own prompt.

    Args:
        canaries: rows whose answer is a code of digits, as `data.canaries` plants them.
        loss_of: nats of each row's answer, summed over its tokens, by the checkpoint that would ship.
        rivals: other codes for each.

    Returns:
        Null if there are no canaries, or a loss is not a finite number.

    Raises:
        EvaluationError: a canary's answer is no code of digits.
    """
    ranks = []
    for canary in canaries:
        losses = loss_of([canary, *(_with_answer(canary, code) for code in _codes(canary, rivals))])
        if not all(map(math.isfinite, losses)):
            return None
        ranks.append(sum(loss <= losses[0] for loss in losses))
    return Exposure(tuple(ranks), rivals) if ranks else None


def _codes(canary: Row, count: int) -> list[str]:
    """Codes of the canary's length, the same ones every time, and never its own."""
    own = answer_of(canary)
    if not own.isdecimal() or 10 ** len(own) <= count:
        raise EvaluationError("the answer is no code of digits", where=canary["row_id"], expected="a row that data.canaries planted")
    codes: dict[str, None] = {}
    draw = 0
    while len(codes) < count:
        number = int.from_bytes(hashlib.sha256(f"{canary['digest']} {draw}".encode()).digest(), "big")
        code = f"{number % 10 ** len(own):0{len(own)}}"
        codes |= {code: None} if code != own else {}
        draw += 1
    return list(codes)


def _with_answer(row: Row, answer: str) -> Row:
    messages: list[Message] = [*row["messages"][:-1], {"role": "assistant", "content": answer}]
    return {**row, "messages": messages, "digest": messages_digest(messages)}
