"""Other ways of writing a text: equal after normalising, or a few words apart; and other spellings of a label."""

import unicodedata
from collections.abc import Callable
from random import Random

from benchmarks.composing import pick
from benchmarks.phrases import ADDED_GREETINGS, EDITABLE_FILLERS, SYNONYMS

_KEPT = frozenset({"not", "no", "nor", "never", "nothing", "without", "nobody", "none", "cannot", "neither", "before", "after"})
"""A change to one of these would make another request of it."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_SHORT, _MIDDLING = 15, 25
"""Words below which one or two edits are enough: three would leave little of a short text."""


def normalise(text: str) -> str:
    """NFKC (Unicode Standard Annex 15), case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def exact_variant(text: str, rng: Random) -> str:
    """The text in another case, width or spacing; or as it is, where the change would not come back on normalising."""
    changed = pick(rng, _WRITINGS)(text, rng)
    return changed if normalise(changed) == normalise(text) else text


def near_variant(text: str, rng: Random) -> str:
    """The text with one to three small edits; never equal to it after normalising."""
    words = text.split(" ")
    most = 1 if len(words) < _SHORT else 2 if len(words) < _MIDDLING else 3
    while True:
        changed, greeted = list(words), False
        for _ in range(1 + int(rng.random() * most)):
            if not greeted and rng.random() < 0.15:
                changed.insert(0, pick(rng, ADDED_GREETINGS))
                greeted = True
            else:
                pick(rng, _EDITS)(changed, rng)
        result = " ".join(changed)
        if normalise(result) != normalise(text):
            return result


def label_variant(label: str, rng: Random) -> str:
    """The label as another person would write it, or with two letters swapped."""
    words = label.split("_")
    spellings = (
        " ".join(words).title(),
        label.upper(),
        "-".join(words),
        " ".join(words),
        "".join(word.title() for word in words),
        f"{label}s",
        f"{label[:-2]}{label[-1]}{label[-2]}",
    )
    others = [spelling for spelling in spellings if spelling != label]
    return pick(rng, others)


def _wide_word(text: str, rng: Random) -> str:
    """One word in full-width forms, which lie 0xFEE0 above ASCII."""
    words = text.split(" ")
    place = int(rng.random() * len(words))
    words[place] = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in words[place])
    return " ".join(words)


def _spread(text: str, rng: Random) -> str:
    """Odd spacing at every fifth gap or so."""
    return "".join(pick(rng, ("  ", "\u00a0", "\t", "\n", "\u2003")) if sign == " " and rng.random() < 0.2 else sign for sign in text)


_WRITINGS: tuple[Callable[[str, Random], str], ...] = (
    lambda text, _: text,
    lambda text, _: text.upper(),
    lambda text, _: text.lower(),
    lambda text, _: f"  {text}\n",
    lambda text, _: unicodedata.normalize("NFD", text),
    lambda text, _: text.replace("fi", "\ufb01").replace("...", "\u2026"),
    _wide_word,
    _spread,
)


def _editable(words: list[str]) -> list[int]:
    return [place for place, word in enumerate(words) if word.isalpha() and word.islower() and word not in _KEPT]


def _replace(words: list[str], rng: Random) -> None:
    known = [place for place in _editable(words) if words[place] in SYNONYMS]
    if known:
        place = pick(rng, known)
        words[place] = SYNONYMS[words[place]]
    else:
        _mistype(words, rng)


def _drop(words: list[str], rng: Random) -> None:
    places = _editable(words)
    if len(places) > 1:
        del words[pick(rng, places)]


def _swap(words: list[str], rng: Random) -> None:
    editable = set(_editable(words))
    places = [place for place in sorted(editable) if place + 1 in editable]
    if places:
        place = pick(rng, places)
        words[place], words[place + 1] = words[place + 1], words[place]


def _add(words: list[str], rng: Random) -> None:
    places = _editable(words)
    if places:
        words.insert(pick(rng, places), pick(rng, EDITABLE_FILLERS))


def _mistype(words: list[str], rng: Random) -> None:
    """Two letters swapped, one lost, doubled or replaced."""
    places = [place for place in _editable(words) if len(words[place]) >= 4]
    if not places:
        return
    place = pick(rng, places)
    word = words[place]
    at = 1 + int(rng.random() * (len(word) - 2))
    before, sign, following, rest = word[:at], word[at], word[at + 1], word[at + 2 :]
    typed = pick(rng, (following + sign, following, sign + sign + following, pick(rng, _ALPHABET) + following))
    words[place] = before + typed + rest


_EDITS: tuple[Callable[[list[str], Random], None], ...] = (_replace, _drop, _swap, _add, _mistype)
