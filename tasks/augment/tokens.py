"""A text as words and signs, each with what the dictionary knows of it and what may not be touched."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tasks.augment.protected import protected_spans
from tasks.augment.thesaurus import Entry, Thesaurus

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\w+|[^\w\s]")
_LETTER = re.compile(r"[^\W\d_]")
_PAUSES = frozenset(",;:-–—()\"'“”‘’")
_ARTICLES = ("a", "an")


class Token(NamedTuple):
    """A word or a sign.

    Attributes:
        text: as it is written.
        lower: in lower case, with straight apostrophes.
        start: its first character's place in the text.
        end: the place after its last.
        free: no part of it is protected.
        entry: what is known of a word; None for a sign or a number.
    """

    text: str
    lower: str
    start: int
    end: int
    free: bool
    entry: Entry | None


@dataclass(frozen=True)
class Tokens:
    """Those of one text, in order."""

    text: str
    tokens: tuple[Token, ...]

    @cached_property
    def words(self) -> list[Token]:
        """Without signs and numbers."""
        return [token for token in self.tokens if token.entry is not None]

    def before(self, place: int) -> str:
        """The class of what stands before a token; `begin` for nothing, or the end of another sentence."""
        return _class_of(self.tokens[place - 1], "begin") if place else "begin"

    def after(self, place: int) -> str:
        """The class of what stands after a token; `end` for nothing, or the end of the sentence."""
        return _class_of(self.tokens[place + 1], "end") if place + 1 < len(self.tokens) else "end"

    def clause_after(self, place: int, many: int) -> Iterator[str]:
        """So many words after a token, in lower case, up to the next sign."""
        for token in self.tokens[place + 1 : place + 1 + many]:
            if token.entry is None:
                return
            yield token.lower

    def follows_article(self, place: int) -> bool:
        """Whether `a` or `an` stands right before a token."""
        return place > 0 and self.tokens[place - 1].lower in _ARTICLES

    def replace(self, chosen: Mapping[int, str]) -> str:
        """The text with other words in some places: capitals are kept, and `a` or `an` before them is set right."""
        pieces, done = [], 0
        for place in sorted(chosen):
            token, other = self.tokens[place], chosen[place]
            if self.follows_article(place):
                article = self.tokens[place - 1]
                pieces += [self.text[done : article.start + 1], "n" if other[0] in "aeio" else ""]
                done = article.end
            pieces += [self.text[done : token.start], other.capitalize() if token.text[0].isupper() else other]
            done = token.end
        return "".join([*pieces, self.text[done:]])


def read_tokens(text: str, thesaurus: Thesaurus) -> Tokens:
    """Takes a text apart."""
    spans = iter([*protected_spans(text), (len(text) + 1, len(text) + 1)])
    start, end = next(spans)
    tokens = []
    for match in _TOKEN.finditer(text):
        first, last = match.span()
        while end <= first:
            start, end = next(spans)
        written = match.group()
        lower = written.lower().replace("’", "'")
        entry = thesaurus.entry(lower) if _LETTER.match(written) else None
        tokens.append(Token(written, lower, first, last, last <= start, entry))
    return Tokens(text, tuple(tokens))


def _class_of(token: Token, border: str) -> str:
    """A row of the grammar's tables. A protected word of no closed class is a name, or code that stands for one."""
    if token.entry is None:
        return "number" if token.text[0].isdigit() else "comma" if token.text in _PAUSES else border
    return "noun" if not token.free and token.entry.meant else token.entry.kind
