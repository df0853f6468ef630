"""Draws tokens at random. The same seed gives the same draw at the same place of an answer, whatever else is computed in the pass.

So an answer depends on its own prompt and seed, and on the rest of a batch only as far as that changes the rounding of the logits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LIKELY = 256
"""Tokens that are looked at first; nearly always they hold the share that is wanted, and all of a vocabulary take ten times as long."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: logits are divided by it.
        top_p: drawn is among the likeliest tokens that together have at least this probability (nucleus sampling: Holtzman, Buys, Du,
            Forbes, Choi, ICLR 2020).
        seeds: one for each prompt.
    """

    temperature: float
    top_p: float
    seeds: Sequence[int]

    def draw(self, logits: "torch.Tensor", prompt: int, place: int) -> int:
        """An index into the logits.

        Args:
            logits: shape (tokens,).
            prompt: number of the prompt that is answered.
            place: tokens of the answer so far.
        """
        scaled = logits.float() / self.temperature
        tokens, shares = _nucleus(scaled, self.top_p)
        sums = shares.cumsum(0)
        # Rounding may leave the last sum below what is looked for.
        found = int((sums < _uniform(self.seeds[prompt], place) * sums[-1]).sum())
        return int(tokens[min(found, len(tokens) - 1)])


def _nucleus(logits: "torch.Tensor", top_p: float) -> "tuple[torch.Tensor, torch.Tensor]":
    """The likeliest tokens in the vocabulary's order, which does not change when two are nearly as likely, with their probabilities."""
    total = logits.logsumexp(0)
    for count in (min(_LIKELY, len(logits)), len(logits)):
        best, tokens = logits.topk(count)
        shares = (best - total).exp()
        before = shares.cumsum(0) - shares
        if count == len(logits) or float(shares.sum()) >= top_p:
            break
    tokens, order = tokens[before < top_p].sort()
    return tokens, shares[before < top_p][order]


def _uniform(seed: int, place: int) -> float:
    """A number in [0, 1) that depends on nothing else."""
    digest = hashlib.sha256(f"{seed}:{place}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2.0**56
