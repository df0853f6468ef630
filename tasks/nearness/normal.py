"""The form in which texts are compared."""

import unicodedata


def normalise(text: str | None) -> str:
    """NFKC, case-folded, white space collapsed: texts that are equal after this count as equal."""
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())
