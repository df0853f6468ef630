"""Which language a text is written in, told offline. The only file that knows py3langid."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl

SHORTEST = 15
"""UTF-8 bytes of letters that a text needs: three or four words of an alphabet, five signs of Chinese or Japanese."""
_SURE = 0.5
_READ = 120
"""UTF-8 bytes that are read; more of them change one answer in 300 and cost time in proportion."""
_SEARCHED = 4 * _READ
"""Characters in which these bytes are looked for, as addresses are left out."""
_ADDRESSES = r"\S+(?:://|@)\S*|www\.\S+"
_NO_LETTERS = r"[^\p{L}\p{M}]+"
_NO_LANGUAGE = "zxx"
_LEFT_OUT = frozenset({"nn"})
"""Nynorsk is found as Norwegian (`no`), as Bokmål is."""


def detect_languages(texts: Sequence[str], *, shortest: int = SHORTEST) -> list[str | None]:
    """The ISO 639-1 code of each text's language, or None where it cannot be told.

    It can be told if the text has at least `shortest` UTF-8 bytes of letters, addresses of the web and of mail left out, and if one
    language is more likely than all others together (and than no language at all: code, markup, lists of numbers). Only the first 120
    bytes that are no address are read, of the first 480 characters. Every text is judged alone.
    """
    beginnings = pl.Series(texts, dtype=pl.String).str.slice(0, _SEARCHED)
    series = beginnings.str.replace_all(_ADDRESSES, " ").str.strip_chars().str.slice(0, _READ)
    enough = series.str.replace_all(_NO_LETTERS, "").str.len_bytes() >= shortest
    return [_detect(text) if told else None for text, told in zip(series, enough, strict=True)]


@cache
def known_languages() -> frozenset[str]:
    """The ISO 639-1 codes that :func:`detect_languages` may return."""
    return frozenset(_identifier().labels) - {_NO_LANGUAGE}


def _detect(text: str) -> str | None:
    language, probability = _identifier().classify(text.encode()[:_READ])
    return str(language) if probability > _SURE and language != _NO_LANGUAGE else None


@cache
def _identifier() -> Any:
    """py3langid's own model, restricted to languages that ISO 639-1 names. Loading takes about half a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if code == _NO_LANGUAGE or (len(code) == 2 and code not in _LEFT_OUT)])
    # A choice of columns is a view with gaps, in half precision; read in order and without conversion it is twice as fast.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float32)
    return identifier
