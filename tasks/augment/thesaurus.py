"""What may stand for a word of a text: its readings, and for each the words that mean the same and hardly anything else."""

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from math import sqrt
from typing import NamedTuple

from tasks.augment.apart import APART
from tasks.augment.grammar import CLASS_OF, Reading
from tasks.augment.inflection import Form, form_of, inflect
from tasks.augment.wordnet import PARTS, PartOfSpeech, WordNet

_UNSEEN = 1.0
"""Added to each sense's count: where few texts were tagged, no sense is taken for the usual one."""
_LEAST_SHARE, _LEAST_SCORE = 0.42, 0.58
"""Of the use that two words share: the smaller of both shares, and their geometric mean."""
_LEAST_PART = 0.3
"""Of a word's use, as this part of speech: `buy` is hardly ever a noun."""
_LEAST_COUNT = 5
"""A word met less often in the tagged texts is one that few people would write."""
_KEPT = 1 << 18
"""Words looked up that are remembered."""
_SURE_BASE = 5.0
"""`found` is `find` in the past, as that is met so many times as often as the verb `found`."""


class Meant(NamedTuple):
    """One reading of a word, and what may stand for it.

    Attributes:
        reading: form and weight.
        part: part of speech.
        base: the dictionary's word; empty where several may be meant.
        others: words in the same form, as they are written within a sentence.
    """

    reading: Reading
    part: PartOfSpeech
    base: str
    others: tuple[str, ...]


class Entry(NamedTuple):
    """A word as it stands in texts, in lower case.

    Attributes:
        kind: its class if that is a closed one, else the part of speech that it mostly is, or `other`.
        meant: its readings; none for a word of a closed class.
        stems: itself and the words that it may be a form of.
        known: whether it is English as far as the dictionary can tell.
        replaceable: whether any reading has others.
    """

    kind: str
    meant: tuple[Meant, ...]
    stems: tuple[str, ...]
    known: bool
    replaceable: bool


class Thesaurus:
    """Looks words up, each one once."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet
        self.entry: Callable[[str], Entry] = lru_cache(_KEPT)(self._look_up)
        """What is known of a word in lower case."""

    @property
    def phrases(self) -> frozenset[str]:
        """All entries of more than one word."""
        return self._wordnet.phrases

    @cached_property
    def phrase_beginnings(self) -> frozenset[str]:
        """First words of those."""
        return frozenset(phrase.partition("_")[0] for phrase in self.phrases)

    def _look_up(self, word: str) -> Entry:
        if (closed := CLASS_OF.get(word)) is not None:
            verbs = self._wordnet.bases(word, "verb")
            return Entry(closed, (), tuple(dict.fromkeys((word, *verbs))), True, False)
        if not (word.isascii() and word.isalpha()):
            return Entry("other", (), (word,), False, False)
        meant = tuple(self._meant(word))
        stems = tuple(dict.fromkeys((word, *(base for part in PARTS for base in self._wordnet.bases(word, part)))))
        return Entry(_mostly(meant), meant, stems, bool(meant), any(each.others for each in meant))

    def _meant(self, word: str) -> Iterator[Meant]:
        for part in PARTS:
            bases = self._wordnet.bases(word, part)
            if not bases:
                continue
            counts = {base: self._wordnet.count(base, part) for base in bases}
            ranked = sorted(bases, key=lambda base: -counts[base])
            form, weight = form_of(word, ranked[0], part), sum(counts.values()) + 0.5
            if form is None:  # a comparative: it may stand where the positive may, but nothing stands for it
                yield Meant(Reading("positive" if part == "adj" else "adverb", weight), part, "", ())
            elif len(ranked) > 1 and counts[ranked[0]] < _SURE_BASE * (counts[ranked[1]] + 1):
                yield Meant(Reading(form, weight), part, "", ())
            else:
                yield Meant(Reading(form, weight), part, ranked[0], tuple(self._others(word, ranked[0], part, form)))

    def _others(self, word: str, base: str, part: PartOfSpeech, form: Form) -> Iterator[str]:
        for other, share in self._shares(base, part).items():
            if not self._is_usual(other, part) or _spelling(other) == _spelling(base) or frozenset((base, other)) in APART:
                continue
            back = self._shares(other, part).get(base, 0.0)
            if min(share, back) >= _LEAST_SHARE and sqrt(share * back) >= _LEAST_SCORE:
                made = inflect(other, part, form, self._wordnet)
                if made is not None and made != word:
                    yield made

    def _is_usual(self, word: str, part: PartOfSpeech) -> bool:
        count = self._wordnet.count(word, part)
        everywhere = sum(self._wordnet.count(word, each) for each in PARTS)
        if part == "noun" and not _is_plain_noun(word):
            return False
        return _is_plain(word) and word not in CLASS_OF and count >= _LEAST_COUNT and count >= _LEAST_PART * everywhere

    def _shares(self, base: str, part: PartOfSpeech) -> dict[str, float]:
        """For each word that means the same: in how much of its use the base means something that the other can mean."""
        senses = self._wordnet.senses(base, part)
        total = sum(sense.met + _UNSEEN for sense in senses)
        shares: dict[str, float] = {}
        for sense in senses:
            for other in sense.words if sense.plain else ():
                shares[other] = shares.get(other, 0.0) + (sense.met + _UNSEEN) / total
        return shares


_KINDS = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}


def _mostly(meant: tuple[Meant, ...], least: float = 0.8) -> str:
    total = sum(each.reading.weight for each in meant)
    return next((_KINDS[each.part] for each in meant if each.reading.weight >= least * total), "other")


def _is_plain(word: str) -> bool:
    """One word in lower case, and no abbreviation."""
    return word.isalpha() and word.islower() and len(word) > 2 and any(vowel in word for vowel in "aeiouy")


def _is_plain_noun(word: str) -> bool:
    """Neither what an action is called (`voting` for a vote) nor a word that is always plural."""
    return not word.endswith(("ing", "ies"))


_SPELLINGS = (("is", "iz"), ("our", "or"), ("que", "ck"), ("ll", "l"), ("re", "er"))


def _spelling(word: str) -> str:
    """Equal for British and American spelling: `recognise`, `colour`, `cheque`."""
    for british, american in _SPELLINGS:
        word = word.replace(british, american)
    return word
