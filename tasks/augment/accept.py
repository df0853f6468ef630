"""What a reworded row must keep to become a training row. Checks run from cheap to dear, and what one has refused the next does not see."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from pipeline_config.augmentation import AcceptConfig
from tasks.augment.neighbours import Embedder, HeldOut, References, Vectors
from tasks.augment.protected import protected_texts
from tasks.augment.requests import compared_text
from tasks.languages import detect_languages
from tasks.nearness.normal import normalise
from tasks.rows import Message, Row
from tasks.screening import find_in_text, find_sensitive

Fits = Callable[[list[Message]], bool]

COPY, KNOWN = "a copy of its parent", "says the same as another row"
SHORT, LONG, BEYOND = "too short", "too long", "does not fit into the context"
LOST, NEW = "something protected is lost", "something protected is new"
LANGUAGE, SENSITIVE = "in another language", "new personal data or a new secret"
NEAR, MEANS = "near a held-out row", "means the same as a held-out row"
FAR, CLOSE = "too far from its parent", "hardly another wording"
LABEL = "nearest rows have another label"

_DECIMALS = 4
"""That cosines are rounded to, so that a batch of other texts does not decide."""


@dataclass(frozen=True)
class Proposal:
    """A child before it is judged.

    Attributes:
        messages: its chat.
        pairs: the texts that differ from the parent's: the parent's, and its own.
        reason: why it is refused; null so far.
        similarity: the smallest cosine of a pair; null until it was measured.
    """

    parent: Row
    label: str
    messages: list[Message]
    pairs: tuple[tuple[str, str], ...]
    reason: str | None = None
    similarity: float | None = None


def prompt_key(messages: Sequence[Message]) -> int:
    """A number of 64 bits that prompts have in common which say the same after normalisation; of a million others hardly any two."""
    said = "\n".join(f"{turn['role']} {normalise(turn['content'])}" for turn in messages[:-1])
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")


class Acceptance:
    """Judges children, shard by shard. What is accepted counts as another row for those that follow."""

    def __init__(
        self, config: AcceptConfig, held_out: HeldOut, references: References | None, known: set[int], fits: Fits, embedder: Embedder
    ) -> None:
        """Prepares to judge.

        Args:
            references: training rows with labels; null where answers are free text, and labels are not looked at.
            known: keys of the prompts of all training rows (:func:`prompt_key`); it grows.
            fits: whether a chat fits into the model's context; asked of those that have become longer.
        """
        self._config, self._held_out, self._references = config, held_out, references
        self._known, self._fits, self._embedder = known, fits, embedder

    def judge(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """The same in the same order, each with a reason or with its similarity."""
        for check in (self._by_wording, self._by_language, self._by_sensitive_data, self._by_nearness, self._by_length, self._by_meaning):
            proposals = _refused(proposals, check)
        return [self._once(proposal) for proposal in proposals]

    def remember(self, messages: Sequence[Message]) -> None:
        """Counts a child as accepted that an earlier call of the same run has judged."""
        self._known.add(prompt_key(messages))

    def _once(self, proposal: Proposal) -> Proposal:
        if proposal.reason is not None:
            return proposal
        if (key := prompt_key(proposal.messages)) in self._known:
            return replace(proposal, reason=KNOWN)
        self._known.add(key)
        return proposal

    def _by_wording(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        for proposal in proposals:
            yield replace(proposal, reason=self._fault_of_wording(proposal))

    def _fault_of_wording(self, proposal: Proposal) -> str | None:
        config, pairs = self._config, proposal.pairs
        if all(normalise(text) == normalise(child) for text, child in pairs):
            return COPY
        ratios = [len(child) / len(text) for text, child in pairs]
        if min(ratios) < config.min_length_ratio:
            return SHORT
        if max(ratios) > config.max_length_ratio:
            return LONG
        if prompt_key(proposal.messages) in self._known:
            return KNOWN
        return _fault_of_protected(pairs)

    def _by_language(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        texts = [text for proposal in proposals for pair in proposal.pairs for text in pair]
        told = dict(zip(texts, detect_languages(texts), strict=True))
        for proposal in proposals:
            languages = [(told[text], told[child]) for text, child in proposal.pairs]
            other = any(one is not None and two is not None and one != two for one, two in languages)
            yield replace(proposal, reason=LANGUAGE if other else None)

    def _by_sensitive_data(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        pairs = [(number, *pair) for number, proposal in enumerate(proposals) for pair in proposal.pairs]
        found = find_sensitive(pl.Series([child for *_, child in pairs], dtype=pl.String))["row"].unique()
        suspects = {number for number, text, child in (pairs[row] for row in found) if _gives_away(text, child)}
        for number, proposal in enumerate(proposals):
            yield replace(proposal, reason=SENSITIVE if number in suspects else None)

    def _by_nearness(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        near = self._held_out.near([compared_text(proposal.messages) for proposal in proposals])
        for proposal, is_near in zip(proposals, near, strict=True):
            yield replace(proposal, reason=NEAR if is_near else None)

    def _by_length(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        for proposal in proposals:
            longer = any(len(child.encode()) > len(text.encode()) for text, child in proposal.pairs)
            yield replace(proposal, reason=BEYOND if longer and not self._fits(proposal.messages) else None)

    def _by_meaning(self, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
        config = self._config
        wholes = [compared_text(proposal.messages) for proposal in proposals]
        texts = [*wholes, *(text for proposal in proposals for pair in proposal.pairs for text in pair)]
        vectors = self._embedder.embed(texts)
        place = {text: number for number, text in enumerate(texts)}
        own = [[float(vectors[place[text]] @ vectors[place[child]]) for text, child in proposal.pairs] for proposal in proposals]
        similarities = [round(min(each), _DECIMALS) for each in own]
        held = self._held_out.cosines(vectors[: len(wholes)]).round(_DECIMALS)
        agree = self._agree(vectors[: len(wholes)], [proposal.label for proposal in proposals])
        for proposal, similarity, other, agrees in zip(proposals, similarities, held, agree, strict=True):
            reason = (
                FAR if similarity < config.min_similarity
                else CLOSE if similarity > config.max_similarity
                else MEANS if other > config.max_held_out_similarity
                else None if agrees
                else LABEL
            )  # fmt: skip
            yield replace(proposal, reason=reason, similarity=similarity)

    def _agree(self, vectors: Vectors, labels: Sequence[str]) -> Iterable[bool]:
        if self._references is None:
            return [True] * len(labels)
        return self._references.agree(vectors, labels, self._config.neighbours)


def count_reasons(reasons: Iterable[str | None]) -> dict[str, int]:
    """How many were refused for each reason, the most frequent first."""
    counts = Counter(reason for reason in reasons if reason is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _refused(proposals: Sequence[Proposal], check: Callable[[Sequence[Proposal]], Iterable[Proposal]]) -> list[Proposal]:
    """Lets a check look at those that none before has refused."""
    open_ = [number for number, proposal in enumerate(proposals) if proposal.reason is None]
    judged = list(proposals)
    for number, proposal in zip(open_, check([proposals[number] for number in open_]) if open_ else (), strict=True):
        judged[number] = proposal
    return judged


def _fault_of_protected(pairs: Sequence[tuple[str, str]]) -> str | None:
    kept = [(protected_texts(text), protected_texts(child)) for text, child in pairs]
    if any(text - child for text, child in kept):
        return LOST
    return NEW if any(child - text for text, child in kept) else None


def _gives_away(text: str, child: str) -> bool:
    """Whether a child holds personal data or a secret that its parent does not hold."""
    held = {(span.kind, text[span.start : span.end]) for span in find_in_text(text)}
    return any((span.kind, child[span.start : span.end]) not in held for span in find_in_text(child))
