"""A small dictionary in WordNet's own file format, as wndb(5) describes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Part = Literal["noun", "verb", "adj", "adv"]

_LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_NUMBERS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}
_LICENCE = "  1 A licence stands above the entries.  \n  2 Each of its lines begins with two spaces.  \n"


class Synset(NamedTuple):
    """Words of one meaning, each with how often it was met in it: `buy 102 purchase 30`."""

    part: Part
    words: str
    pointers: str = ""

    def counts(self) -> dict[str, int]:
        fields = self.words.split()
        return {word: int(count) for word, count in zip(fields[::2], fields[1::2], strict=True)}


EVERYDAY = (
    Synset("verb", "buy 102 purchase 30"),
    Synset("verb", "bribe 9 buy 2"),
    Synset("verb", "try 300 attempt 60"),
    Synset("verb", "need 90 require 80"),
    Synset("verb", "seem 90 appear 90"),
    Synset("verb", "choose 100 select 50"),
    Synset("verb", "pick_out 1 select 8"),
    Synset("verb", "look_for 20"),
    Synset("verb", "top_up 5"),
    Synset("verb", "buy_up 5"),
    Synset("verb", "card 1"),
    Synset("verb", "find 300 discover 80"),
    Synset("verb", "happen 100 occur 90"),
    Synset("verb", "happen_to 3"),
    Synset("verb", "help 200 assist 40"),
    Synset("verb", "change 150 alter 140"),
    Synset("verb", "mistake 3"),
    Synset("verb", "work 200"),
    Synset("verb", "fancy 20 like 5"),
    Synset("noun", "error 40 mistake 60"),
    Synset("noun", "country 120 nation 60"),
    Synset("noun", "purchase 6"),
    Synset("noun", "shop 20 store 40"),
    Synset("noun", "child 200 kid 60"),
    Synset("noun", "account 40 story 2 chronicle 1"),
    Synset("noun", "account 30"),
    Synset("noun", "card 60"),
    Synset("noun", "credit_card 9"),
    Synset("noun", "credit 30"),
    Synset("verb", "want 90"),
    Synset("adj", "open 50"),
    Synset("noun", "store_card 9"),
    Synset("noun", "delivery 30"),
    Synset("noun", "try 3"),
    Synset("noun", "need 20"),
    Synset("noun", "hour 60 time_of_day 1"),
    Synset("noun", "clock 30 timepiece 0"),
    Synset("noun", "colour 30 color 40"),
    Synset("adj", "large 100 big 90"),
    Synset("adj", "rapid 20 fast(p) 20"),
    Synset("adj", "great 30 swell 30", ";u 00000000 n 0000"),
    Synset("adv", "quickly 60 rapidly 40"),
    Synset("adv", "by_mistake 9"),
)
EXCEPTIONS = {"verb": "bought buy\noccurred occur\nchose choose\nchosen choose\nfound find\n", "noun": "children child\n"}


def write_wordnet(
    folder: Path,
    synsets: Sequence[Synset] = EVERYDAY,
    exceptions: Mapping[str, str] | None = EXCEPTIONS,
    counts: Literal["cntlist.rev", "index.sense"] = "cntlist.rev",
) -> Path:
    """Writes the files that Debian's package has, or npm's if there are no exceptions and the counts are in index.sense."""
    folder.mkdir(parents=True, exist_ok=True)
    counted: list[str] = []
    for part in _LETTERS:
        offsets, data = _data([synset for synset in synsets if synset.part == part])
        (folder / f"data.{part}").write_text(data)
        lines, more = _index(part, offsets, counts)
        (folder / f"index.{part}").write_text(_LICENCE + "".join(lines))
        counted += more
        if exceptions is not None:
            (folder / f"{part}.exc").write_text(exceptions.get(part, ""))
    (folder / counts).write_text("".join(sorted(counted)))
    return folder


def _data(synsets: Sequence[Synset]) -> tuple[list[tuple[int, Synset]], str]:
    text, offsets = _LICENCE, []
    for synset in synsets:
        offsets.append((len(text), synset))
        words = synset.counts()
        written = " ".join(f"{word} 0" for word in words)
        pointers = f"001 {synset.pointers}" if synset.pointers else "000"
        frames = " 01 + 08 00" if synset.part == "verb" else ""
        text += f"{len(text):08d} 00 {_LETTERS[synset.part]} {len(words):02x} {written} {pointers}{frames} | what it means  \n"
    return offsets, text


def _index(part: str, offsets: Sequence[tuple[int, Synset]], counts: str) -> tuple[list[str], list[str]]:
    places: dict[str, list[tuple[int, int]]] = {}
    for offset, synset in offsets:
        for word, count in synset.counts().items():
            places.setdefault(word.partition("(")[0], []).append((-count, offset))
    lines, counted = [], []
    for word, found in sorted(places.items()):
        found.sort()
        many = len(found)
        lines.append(f"{word} {_LETTERS[part]} {many} 1 @ {many} 0 {' '.join(f'{offset:08d}' for _, offset in found)}  \n")
        for number, (count, offset) in enumerate(found, start=1):
            middle = f"{offset:08d} " if counts == "index.sense" else ""
            counted.append(f"{word}%{_NUMBERS[part]}:00:{number:02d}:: {middle}{number} {-count}\n")
    return lines, counted
