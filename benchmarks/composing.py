"""Composes a request of independent phrases, the same one each time for the same seed and number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from string import Formatter
from typing import TypeVar

from benchmarks.phrases import PARTS, STRUCTURES
from benchmarks.problems import DOMAINS, INSTRUCTIONS
from benchmarks.vocabulary import SLOTS

T = TypeVar("T")

LABELS: tuple[tuple[str, str], ...] = tuple((domain, label) for domain, labels in DOMAINS.items() for label in labels)
"""Each label with its domain."""

_GAPS = (" ", " ", " ", "\n", "\n\n")
_FRAME = frozenset({"opening", "consequence", "closing", "greeting", "ask", "signature"})
_WHOLE_FRAME = 0.3
"""How often all but the problem is borrowed: the shorter the problem, the more two such texts overlap."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a fault.

    Attributes:
        problem: the phrase, slots unfilled, that says what is wanted.
        parts: name and text of each part, in order.
        gap: white space between the parts.
    """

    domain: str
    label: str
    problem: str
    parts: tuple[tuple[str, str], ...]
    gap: str

    @property
    def text(self) -> str:
        """The parts as one text."""
        return self.gap.join(text for _, text in self.parts)

    @property
    def instruction(self) -> str:
        """What the model is asked to do with the text."""
        return INSTRUCTIONS[self.domain]


def stream(seed: int, index: int, purpose: int) -> Random:
    """Random numbers of one row: no row depends on another, so that any can be made again without those before it."""
    return Random(((seed << 8) + purpose << 40) + index)


def pick(rng: Random, values: Sequence[T]) -> T:
    """One of the values; takes one random number, whatever the Python version."""
    return values[int(rng.random() * len(values))]


def compose(rng: Random, labels: Sequence[tuple[str, str]] = LABELS) -> Request:
    """A request about one of the labels."""
    domain, label = pick(rng, labels)
    problem = pick(rng, DOMAINS[domain][label])
    parts = tuple((name, fill(problem, rng) if name == "problem" else part(name, rng)) for name in pick(rng, STRUCTURES))
    return Request(domain, label, problem, parts, pick(rng, _GAPS))


def reframe(frame: Request, rng: Random, labels: Sequence[tuple[str, str]] = LABELS) -> Request:
    """Another request in the same words of greeting, consequence and signature, or in all of them: what is asked for differs."""
    kept = frozenset(PARTS) if rng.random() < _WHOLE_FRAME else _FRAME
    own = compose(rng, labels)
    while own.problem == frame.problem:
        own = compose(rng, labels)
    fresh = {name: part(name, rng) for name in PARTS if name not in kept} | {"problem": fill(own.problem, rng)}
    parts = tuple((name, text if name in kept else fresh[name]) for name, text in frame.parts)
    return replace(own, parts=parts, gap=frame.gap)


def part(name: str, rng: Random) -> str:
    """A part other than the problem."""
    return " ".join([fill(pick(rng, phrases), rng) for phrases in PARTS[name]])


def fill(phrase: str, rng: Random) -> str:
    """The phrase with something in each slot, starting with a capital."""
    text = "".join([literal + (pick(rng, values) if values else "") for literal, values in _pieces(phrase)])
    return text[:1].upper() + text[1:]


@cache
def _pieces(phrase: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Literal texts, each with the values of the slot after it; none after the last."""
    return tuple((literal, SLOTS[name] if name else ()) for literal, name, _, _ in Formatter().parse(phrase))
