"""Translation by Apertium (Forcada et al., Machine Translation 25, 2011): rules and dictionaries, offline, from Debian's packages.

One process translates a whole batch. Each line ends with a full stop that is taken off again, so that no rule sees two lines as one, and
with a blank that Apertium hands on untouched and that has the line's number in it. What comes back is believed only if all numbers come
back in order; else the batch is halved, until the line that did it stands alone.
"""

import os
import re
import shutil
import signal
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.augment.back_translation import NAME, Translation, line_by_line
from tasks.augment.operators import Missing
from tasks.files import sha256_file, sha256_json

_PROGRAM = "apertium"
_DEBIAN = (
    "cat-ita", "en-gl", "eng-cat", "eng-spa", "eo-en", "es-gl", "es-pt", "fr-es", "fra-cat", "oci-fra", "por-cat", "spa-cat", "spa-ita",
)  # fmt: skip
"""Packages of Debian 12 with a pair that goes both ways."""
_LONG = {
    "ca": "cat", "en": "eng", "eo": "epo", "es": "spa", "fr": "fra", "gl": "glg", "it": "ita", "oc": "oci", "pt": "por",
}  # fmt: skip
"""Their languages' ISO 639-3 codes by those of ISO 639-1: pairs are named by either."""
_SPECIAL = re.compile(r"([\[\]{}^$/\\@<>])")
_ESCAPED = re.compile(r"\\(.)")
_END = ".[]"
_MARKED = re.compile(r"(?<![\w*#@])[*#@]+(?=\w)")
"""What stands before a word that Apertium does not know (`*`), cannot translate (`@`) or cannot inflect (`#`)."""
_UNTRANSLATED = re.compile(r"(?<!\\)@")
_SECONDS, _SECONDS_A_LINE = 120.0, 0.1
"""What a process may take; more than ten times what it does take, because others may need the processor."""


def open_apertium(source: str, pivot: str, *, seconds: float = _SECONDS) -> tuple["ApertiumTranslator", "ApertiumTranslator"] | Missing:
    """Translators into the other language and back, or what is not installed.

    Args:
        source: ISO 639-1 code of the texts' language.
        pivot: of the other one.
        seconds: what one process may take, besides a tenth of a second for each line.
    """
    program = shutil.which(_PROGRAM)
    there, back = (_find_mode(program, *way) if program else None for way in ((source, pivot), (pivot, source)))
    if program is None or there is None or back is None:
        return Missing(NAME, f"Apertium with the pair {source}-{pivot}", _command(source, pivot))
    return ApertiumTranslator(program, there, seconds), ApertiumTranslator(program, back, seconds)


def _command(source: str, pivot: str) -> str:
    names = [f"{a}-{b}" for one, other in ((source, pivot), (pivot, source)) for a in _codes(one) for b in _codes(other)]
    package = next((name for name in _DEBIAN if name in names), None)
    if package == "eng-spa":
        return "make system-deps"
    return f"apt-get install apertium apertium-{package}" if package else "apt-cache search '^apertium-'"


def _codes(language: str) -> list[str]:
    return [language, _LONG[language]] if language in _LONG else [language]


@dataclass(frozen=True)
class _Mode:
    """A direction: its name, the folder with all data, and the digest of the files that this direction uses."""

    name: str
    data: Path
    digest: str


def _find_mode(program: str, source: str, target: str) -> _Mode | None:
    data = Path(program).resolve().parents[1] / "share" / "apertium"
    for name in (f"{a}-{b}" for a in _codes(source) for b in _codes(target)):
        file = data / "modes" / f"{name}.mode"
        if file.is_file():
            steps = file.read_text(encoding="utf-8")
            used = [Path(path) for path in re.findall(r"'(/[^']+)'", steps)]
            return _Mode(name, data, sha256_json([steps, [sha256_file(path) for path in used if path.is_file()]]))
    return None


class ApertiumTranslator:
    """One way."""

    batch = 512

    def __init__(self, program: str, mode: _Mode, seconds: float) -> None:
        self._program, self._mode, self._seconds = program, mode, seconds
        self.version = sha256_json({"apertium": mode.digest})

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """See :class:`tasks.augment.back_translation.Translator`. A text with a word that Apertium does not know has no translation."""
        return line_by_line(texts, self._translate)

    def _translate(self, lines: Sequence[str]) -> list[Translation]:
        """Halves what cannot be translated together."""
        clean = [_clean(line) for line in lines]
        made, fault = self._run(clean)
        if made is not None:
            return [_read(line, text) for line, text in zip(clean, made, strict=True)]
        if len(lines) == 1:
            return [fault]
        half = len(lines) // 2
        return [*self._translate(lines[:half]), *self._translate(lines[half:])]

    def _run(self, lines: Sequence[str]) -> tuple[list[str] | None, Translation]:
        """What came back of each line, or what is wrong with all of them."""
        text = "".join(f"{_SPECIAL.sub(_escape, line)}{_END}[{number}:]" for number, line in enumerate(lines))
        # Apertium is a chain of programs behind a shell: a group of their own, so that all of them can be ended.
        command = ["env", "LC_ALL=C.UTF-8", self._program, "-d", str(self._mode.data), "-f", "none", self._mode.name]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                out, _ = process.communicate(text.encode(), timeout=self._seconds + _SECONDS_A_LINE * len(lines))
            except subprocess.TimeoutExpired:
                return None, Translation(None, "time-out", final=False)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 0:
            return None, Translation(None, "translator failed", final=False)
        return _split(out.decode(errors="replace"), len(lines)), Translation(None, "damaged by the translator")


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[1]}"


def _clean(line: str) -> str:
    """Without control characters, which mean something to the programs of the chain."""
    return " ".join("".join(" " if unicodedata.category(character) == "Cc" else character for character in line).split())


def _split(out: str, count: int) -> list[str] | None:
    """The lines of an output; null if a number is missing, stands elsewhere, or has lost the full stop before it."""
    parts = re.split(r"\[(\d+):\]", out)
    texts = [text.strip() for text in parts[:-1:2]]
    if parts[1::2] != [str(number) for number in range(count)] or parts[-1].strip() or not all(text.endswith(_END) for text in texts):
        return None
    return [text.removesuffix(_END) for text in texts]


def _read(line: str, out: str) -> Translation:
    text = " ".join(_ESCAPED.sub(r"\1", out).split())
    if _UNTRANSLATED.search(out) or len(_MARKED.findall(text)) > len(_MARKED.findall(line)):
        return Translation(None, "unknown word")
    return Translation(text) if text else Translation(None, "empty")
