"""Numbers and texts as a person reads them, the same on the page and in the summary."""

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 80
_SPACES = {"\n": "↵", "\r": "↵", "\t": "⇥"}
_JOINERS = "\u200c\u200d"  # many scripts and most composed emoji need them
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&#$@])|(?<=:)(?=//)|(?<=www)(?=\.)")
_BEGINS_A_BLOCK = re.compile(r"^([-+=])|^([0-9]+)(?=[.)])")


def number(value: float) -> str:
    """With separators of thousands, and at most two decimals: `12,341`, `0.25`."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """A share with one decimal. `0.0%` and `100.0%` mean none and all: what only rounds to them is written `<0.1%` and `>99.9%`."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def figure(value: float | None) -> str:
    """A measured value with three decimals, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = list(items) or [""]
    return f"{', '.join(head)} and {last}" if head else last


def sentence(text: str) -> str:
    """A message with a capital letter, unless its first word may be a name: `card_arrival`, `data.split`."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+[ ,:]", text) else text


def spans(text: str) -> list[tuple[str, bool]]:
    """Cuts a text at its backticks: each piece, and whether it stood between two, as names of settings do in messages."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return [(text, False)]
    return [(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]


def shown(text: str, longest: int = _LONGEST) -> str:
    """A text of a row, a file or a label with everything in it made visible: control and direction characters are written `[U+202E]`.

    Markup is not escaped here, that is the template's part.

    Args:
        longest: what is longer is cut there, and its length said.
    """
    cut = text if len(text) <= longest else text[:longest]
    visible = "".join(_visible(character) for character in cut.replace("\r\n", "\n"))
    return visible if cut is text else f"{visible}… ({number(len(text))} characters)"


def markdown(text: str, longest: int = _LONGEST) -> str:
    """The same as Markdown that shows just these characters: one line, no markup, no link, no end of a table's cell."""
    return _PUNCTUATION.sub(r"\\\1", shown(text, longest)).strip()  # four spaces would begin a block of code


def readable_markdown(text: str, longest: int = _LONGEST) -> str:
    """As :func:`markdown`, for files that people read without rendering them, too: nothing is escaped but what would mean something.

    It is for text on a line of its own, or behind words of ours, and not for hostile renderers with extensions of their own.
    """
    line = _MARKUP.sub(lambda found: f"\\{found[1] or ''}", shown(text, longest)).strip()
    return _BEGINS_A_BLOCK.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\", line)


def _visible(character: str) -> str:
    if character in _SPACES:
        return _SPACES[character]
    if character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return f"[U+{ord(character):04X}]"
