"""General text to read: the prose of Python's own help, which is there wherever this runs."""

import re
import sys
from collections.abc import Iterator

from tasks.artifacts import Record
from tasks.files import sha256_bytes

_LEAST_WORDS = 20
"""A paragraph with fewer words is a heading, a list's entry or a line of code more often than prose."""


class GeneralText(Record):
    """A text, where it is from, and the SHA-256 of its bytes: other versions of Python have other words."""

    source: str
    digest: str
    text: str


def read_general_text() -> GeneralText | None:
    """The prose paragraphs of `pydoc_data.topics`, each once, in the order of their topics; null where this Python came without them."""
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError:  # some distributions leave it out of their smallest package
        return None
    text = "\n\n".join(dict.fromkeys(paragraph for name in sorted(topics) for paragraph in _prose(topics[name])))
    version = ".".join(map(str, sys.version_info[:3]))
    return GeneralText(source=f"pydoc_data.topics of Python {version}", digest=sha256_bytes(text.encode()), text=text)


def _prose(page: str) -> Iterator[str]:
    """Paragraphs that start in the first column, with their lines joined. Code, tables, grammar and lists are indented or marked."""
    for block in re.split(r"\n\s*\n", page):
        paragraph = " ".join(block.split())
        if re.match(r'[A-Z"]', block) and "::=" not in block and len(paragraph.split()) >= _LEAST_WORDS:
            yield paragraph
