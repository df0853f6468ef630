"""Which texts may hold personal data or secrets: expressions over whole columns that spare most texts a closer look.

Two steps for each kind. A hint has no borders, so that whatever a piece of a text can hold, the whole text shows, too. It is written for
speed: one that begins with one of ten digits or with a few letters costs a tenth of one that may begin with any, as such beginnings are
looked for many at once. A shape has borders and is only looked for where the hint is. Both let through more than is found at last, and
never less.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set

import polars as pl

from pipeline_config.data import SensitiveKind
from tasks.credentials import ASSIGNED
from tasks.identifiers import BETWEEN, E164_CODE, GAP, PHONE_WORD

Kind = SensitiveKind

_HINTS: Mapping[str, tuple[Kind, ...]] = {
    # However the digits are grouped: a hint for several kinds is looked for once.
    r"[0-9](?:[ \u00a0\u202f().\-/]{0,3}[0-9]){6}": ("phone", "card", "national_id"),
    f"[0-9]{{2}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{3}}": ("iban",),
    "[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]": ("national_id",),
    # An Italian code has its first digit: where two codes are the same, digits become letters from the last one on.
    "[0-9][0-9L-Vl-v][A-Za-z][0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{3}[A-Za-z]": ("national_id",),
    r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]": ("ip",),
    ":[0-9A-Fa-f]{0,4}:": ("ip",),
    r"[^ @]@[^ @]+\.": ("email",),
    "[:=_-]": ("secret",),
    "(?i: is | ist | est | es ) {0,3}[\"'`]?[^\\s\"'`<>,;&({\\[$%~/][^\\s]{7}": ("secret",),
    "(?i)bearer ": ("secret",),
    "(?i)aws": ("secret",),
    "eyJ|AIza|GR1348941|A3T|ABIA|ACCA|AKIA|ASIA": ("secret",),
    r"(?:AC|SK)[a-z0-9]{32}|SG\.[A-Za-z0-9_-]{22}": ("secret",),
    r"\.[A-Za-z0-9_-]{6}\.": ("secret",),
}
_COMPILED: tuple[tuple[re.Pattern[str], tuple[Kind, ...]], ...] = tuple((re.compile(hint), kinds) for hint, kinds in _HINTS.items())

_LEFT, _END = r"(?:^|[^0-9A-Za-z_.+/-])", r"(?:$|[^0-9A-Za-z_])"
"""Borders without look-around, which a column's expressions do not have. A letter beyond ASCII counts as one: that lets more through."""

_SHAPES: dict[Kind, str] = {
    # Short counts: with the forms' own ones the expression has so many states that it is three times slower.
    "secret": (
        rf"(?i){ASSIGNED}|bearer |aws|://[^\s/]+:[^\s/]+@|PRIVATE KEY|putty-user-key|eyj[a-z0-9_=-]+\.|slack\.com/services|_authToken"
        r"|[a-z0-9]{8}-us[0-9]|[0-9]{8}:[a-z0-9_-]{8}|(?-i:(?:AC|SK)[a-z0-9]{16}|SG\.[A-Za-z0-9_-]{8}|\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{8})"
        r"|(?-i:(?:A3T|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{8})|accountkey=|T3BlbkFJ|AIza|GR1348941|sq0csp-|pypi-AgE"
        r"|(?:gh[oprsu]|github_pat|hf|npm|[rs]k_live|[rs]k_test|whsec)_|(?:gl[a-z]{2,5}|xox[a-z]|xapp|sk)-"
    ),
    "iban": f"(?:^|[^0-9A-Za-z])[A-Za-z]{{2}}[0-9]{{2}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{3}}",
    "card": (
        f"(?:^|[^0-9A-Za-z_/-])(?:[0-9]{{12,19}}|[0-9]{{4}}(?:{GAP}[0-9]{{4}}){{3}}(?:{GAP}[0-9]{{3}})?|3[0-9]{{3}}{GAP}[0-9]{{6}}{GAP}[0-9]{{4,5}})"
        + _END
    ),
    "national_id": (
        f"{_LEFT}(?:[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}|[A-Z]{{2}} ?(?:[0-9]{{2}} ?){{3}}[A-D]|[0-9]{{2}} ?[0-9]{{3}} ?[0-9]{{3}} ?[0-9]{{3}}"
        "|[0-9] ?(?:[0-9]{2} ?){2}[0-9][0-9AB] ?(?:[0-9]{3} ?){2}[0-9]{2}|(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-Z]"
        f"|[A-Za-z]{{6}}[0-9L-Vl-v]{{2}}[A-Za-z][0-9L-Vl-v]{{2}}[A-Za-z][0-9L-Vl-v]{{3}}[A-Za-z]){_END}"
        "|(?is:(?:ssn|social security|bsn|burgerservice|sofi).*[0-9]{3})"
    ),
    "ip": rf"(?:^|[^0-9A-Za-z_.])(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}{_END}|::|(?:[0-9A-Fa-f]{{1,4}}:){{6}}",
    "email": r"[^ @]@[^ @]+\.",
    "phone": (
        rf"(?:(?:^|[^0-9A-Za-z_+.])\+|(?:^|[^0-9A-Za-z_+.,:/-])00) ?(?:{E164_CODE})(?:{BETWEEN}[0-9]){{5}}"
        rf"|{_LEFT}(?:1[ .-])?(?:\([2-9][0-9]{{2}}\) ?[2-9][0-9]{{2}}[ .-]|[2-9][0-9]{{2}}[.-][2-9][0-9]{{2}}[.-])[0-9]{{4}}"
        rf"|{_LEFT}0[1-9](?:[ .-][0-9]{{2}}){{4}}|{_LEFT}\(?0(?:2[03489]\)? [0-9]{{4}} [0-9]{{4}}|[138][0-9]{{2}}\)? [0-9]{{3}} [0-9]{{4}})"
        rf"|{_LEFT}\(?0[17][0-9]{{3}}\)? [0-9]{{3}} ?[0-9]{{3}}|{_LEFT}01[567][0-9]{{1,2}}[ /-][0-9]{{3,4}} ?[0-9]{{4,5}}"
        rf"|(?i:{PHONE_WORD})\(?[0-9](?:{BETWEEN}[0-9]){{6}}"
    ),
}


_BORDERED = frozenset[Kind]({"iban", "card", "national_id", "ip", "phone"})
"""Kinds whose shape has borders: a piece of a text can have one where the whole text has none."""
_NUMBER = re.compile(
    rf"[0-9](?:(?:[ \u00a0\u202f().\-/]{{0,3}}[0-9]){{5}}|[0-9]{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{3}}"
    r"|[0-9L-Vl-v][A-Za-z][0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{3}[A-Za-z]|\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9])"
)
"""All hints for kinds with borders together, but for the colons of an IP address of version 6."""


def likely_rows(texts: pl.Series, kinds: Sequence[Kind]) -> Iterator[tuple[int, str, list[Kind]]]:
    """Index, text and likely kinds of each text that may hold one of these kinds, in the order of the texts."""
    hints = [hint for hint, own in _HINTS.items() if not set(kinds).isdisjoint(own)]
    if not hints:
        return
    text = pl.col("text").str
    rows = pl.DataFrame({"text": texts.cast(pl.String)}).with_row_index("row")
    # One step after the other: in one query, shapes would be looked for in every row.
    hinted = rows.with_columns(text.contains(hint).alias(hint) for hint in hints).filter(pl.any_horizontal(hints))
    if hinted.is_empty():  # as most small tables: shapes take longer to compile than to be looked for
        return
    likely = pl.concat(_shaped(hinted.filter(pl.any_horizontal(hint for hint in hints if kind in _HINTS[hint])), kind) for kind in kinds)
    together = likely.group_by("row").agg("kind").sort("row")
    for (row, found), value in zip(together.iter_rows(), texts.gather(together["row"]), strict=True):
        yield row, value, found


def _shaped(rows: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    return rows.filter(pl.col("text").str.contains(_SHAPES[kind])).select("row", kind=pl.lit(kind))


def likely_in_rest(text: str, likely: Set[Kind], wanted: Set[Kind]) -> Set[Kind]:
    """What a piece of a text may hold that was taken out of it, given what was likely in the whole."""
    numbered = "::" in text or text.count(":") > 5 or _NUMBER.search(text)
    possible = (_BORDERED & wanted | likely) if numbered else likely - _BORDERED
    return _hinted(text, possible) if possible else possible


def may_hold(text: str, kinds: Collection[Kind]) -> bool:
    """Whether a text could hold one of these kinds: much faster than looking, and never false where one would be found."""
    return bool(_hinted(text, kinds))


def _hinted(text: str, kinds: Collection[Kind]) -> set[Kind]:
    """Those of the kinds that a text has a hint of."""
    missing = set(kinds)
    for hint, own in _COMPILED:
        if not missing.isdisjoint(own) and hint.search(text):
            missing.difference_update(own)
    return set(kinds) - missing
