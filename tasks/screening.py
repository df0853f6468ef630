"""Personal data and secrets in columns of text: where they are, and the text without them.

A cheap expression over the whole column picks the rows that may hold a kind; only those are looked at closely. Nothing here logs or raises
with a text that was found, and nothing asks a network whether a secret is a live one.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from typing import NamedTuple, get_args

import polars as pl

from pipeline_config.data import SensitiveKind
from pipeline_config.errors import DataError
from tasks.addresses import find_emails, find_ips
from tasks.candidates import likely_in_rest, likely_rows
from tasks.credentials import find_secrets
from tasks.identifiers import find_cards, find_ibans, find_national_ids, find_phones

Kind = SensitiveKind
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of precedence: where two findings overlap, the one with the stronger check stays."""

FINDINGS = pl.Schema({"row": pl.Int64(), "kind": pl.String(), "start": pl.Int64(), "end": pl.Int64()})
"""`row` is an index into the series; `start` and `end` count characters, and `end` is the first one after the finding."""


class Span(NamedTuple):
    """A finding in one text: its kind, its first character and the first one after it."""

    kind: Kind
    start: int
    end: int


def find_sensitive(texts: pl.Series, kinds: Collection[Kind] = KINDS) -> pl.DataFrame:
    """Finds personal data and secrets.

    What stands between two findings is looked at again on its own, so that a masked text holds nothing more to find. A placeholder that is
    in a text already is never part of a finding.

    Args:
        texts: a column of text; null has nothing.
        kinds: what to look for.

    Returns:
        Columns of :data:`FINDINGS`, sorted by row and start; findings of one row do not overlap.

    Raises:
        DataError: the series does not hold text, or a kind is unknown.
    """
    if texts.dtype not in (pl.String, pl.Null):
        raise DataError(f"a series of {texts.dtype} cannot be screened", where=f"series {texts.name!r}", expected="text")
    if unknown := set(kinds) - set(KINDS):
        raise DataError(f"unknown kinds {sorted(unknown)}", expected=", ".join(KINDS))
    wanted = [kind for kind in KINDS if kind in kinds]
    found = [(row, *span) for row, text, likely in likely_rows(texts, wanted) for span in _find(text, frozenset(likely), frozenset(wanted))]
    return pl.DataFrame(found, schema=FINDINGS, orient="row")


def find_in_text(text: str, kinds: Collection[Kind] = KINDS) -> list[Span]:
    """What :func:`find_sensitive` finds in one text, without picking candidates first."""
    return _find(text, frozenset(kinds), frozenset(kinds))


def _find(text: str, likely: Set[Kind], wanted: Set[Kind]) -> list[Span]:
    """The likely kinds in the whole text, and any that are wanted in what findings leave over: a finding taken out makes new borders."""
    pending: list[tuple[int, int, Set[Kind]]] = [
        (start, end, likely) for start, end in _between(len(text), [match.span() for match in PLACEHOLDER.finditer(text)])
    ]
    spans: list[Span] = []
    while pending:
        start, end, kinds = pending.pop()
        if found := _find_in_piece(text[start:end], kinds):
            spans += [Span(kind, start + first, start + last) for kind, first, last in found]
            places = [(start + first, start + last) for first, last in _between(end - start, [span[1:] for span in found])]
            pending += [(first, last, likely_in_rest(text[first:last], likely, wanted)) for first, last in places]
    return sorted(spans, key=lambda span: span.start)


def mask(text: str, spans: Iterable[tuple[str, int, int]]) -> str:
    """Puts `<EMAIL>`, `<CARD>` and so on in the place of each span (kind, start, end).

    Raises:
        ValueError: spans overlap, or reach beyond the text.
    """
    pieces, done = [], 0
    for kind, start, end in sorted(spans, key=lambda span: span[1:]):
        if not done <= start < end <= len(text):
            raise ValueError(f"the span from {start} to {end} overlaps another one, or the text's end at {len(text)}")
        pieces += [text[done:start], f"<{kind.upper()}>"]
        done = end
    return "".join([*pieces, text[done:]])


PLACEHOLDER = re.compile(f"<(?:{'|'.join(kind.upper() for kind in KINDS)})>")
"""What :func:`mask` puts in."""


def _find_in_piece(piece: str, kinds: Collection[Kind]) -> list[tuple[Kind, int, int]]:
    """One pass: what overlaps a finding of a stronger kind, or a longer one of its own, is left out."""
    chosen: list[tuple[Kind, int, int]] = []
    taken = bytearray(len(piece))
    for kind in (kind for kind in KINDS if kind in kinds):
        for start, end in sorted(_FINDERS[kind](piece), key=lambda found: found[0] - found[1]):
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                chosen.append((kind, start, end))
    return chosen


def _between(length: int, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The places that the spans leave free in a text of this length."""
    borders = [0, *(border for span in sorted(spans) for border in span), length]
    return list(zip(borders[::2], borders[1::2], strict=True))


_FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "secret": find_secrets,
    "iban": find_ibans,
    "card": find_cards,
    "national_id": find_national_ids,
    "ip": find_ips,
    "email": find_emails,
    "phone": find_phones,
}
