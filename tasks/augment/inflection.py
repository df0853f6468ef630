"""Which form of a word a text has, and the same form of another word, where that is certain."""

import re
from typing import Literal

from tasks.augment.wordnet import PartOfSpeech, WordNet

Form = Literal["singular", "plural", "base", "third", "ing", "past", "positive", "adverb"]
"""`base`: as after `to`; `third`: as after `he`; `past`: the past tense or the participle, which a word alone does not tell apart."""

_BASE_FORMS: dict[PartOfSpeech, Form] = {"noun": "singular", "verb": "base", "adj": "positive", "adv": "adverb"}
_HISSING = re.compile(r"(?:s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_MAY_DOUBLE = re.compile(r"(?:^|[^aeiou])[aeiou][^aeiouwxy]$")
"""One vowel and one consonant at the end: doubled if the syllable is stressed. The dictionary lists those that are."""
_ONE_SYLLABLE = re.compile(r"^[^aeiouy]*(?:qu)?[aeiouy][^aeiouy]*$")
_UNSURE_PLURAL = re.compile(r"(?:o|f|fe|is|us|man|ics|ss)$")


def form_of(word: str, base: str, part: PartOfSpeech) -> Form | None:
    """The form in which a word stands for its base; None for one that is left alone, such as a comparative."""
    if word == base:
        return _BASE_FORMS[part]
    if part == "noun":
        return "plural"
    if part != "verb":
        return None
    if word.endswith("ing"):
        return "ing"
    return "third" if word.endswith("s") else "past"


def inflect(base: str, part: PartOfSpeech, form: Form, wordnet: WordNet) -> str | None:
    """A word in a form, or None where that is not certain: several irregular forms, or a rule with exceptions."""
    if form == _BASE_FORMS[part]:
        return base
    listed = wordnet.irregular(base, part)
    if form == "plural":
        made = _plural(base, listed)
    elif form == "third":
        made = _third(base) if not any(each.endswith("s") for each in listed) else None
    elif form == "ing":
        made = _ing(base, [each for each in listed if each.endswith("ing")])
    else:
        made = _past(base, [each for each in listed if not each.endswith(("ing", "s"))])
    return made if made is not None and base in wordnet.bases(made, part) else None


def _plural(base: str, listed: tuple[str, ...]) -> str | None:
    if listed or _UNSURE_PLURAL.search(base) or base.endswith("s"):
        return listed[0] if len(listed) == 1 else None
    return _third(base)


def _third(base: str) -> str:
    if _CONSONANT_Y.search(base):
        return f"{base[:-1]}ies"
    return f"{base}es" if _HISSING.search(base) or base.endswith("o") else f"{base}s"


def _ing(base: str, listed: list[str]) -> str | None:
    if listed or _is_doubled(base):
        return listed[0] if len(listed) == 1 else None
    if base.endswith("e") and not base.endswith(("ee", "oe", "ye", "ie")):
        return f"{base[:-1]}ing"
    return None if base.endswith("ie") else f"{base}ing"


def _past(base: str, listed: list[str]) -> str | None:
    if listed or _is_doubled(base):
        return listed[0] if len(listed) == 1 else None
    if _CONSONANT_Y.search(base):
        return f"{base[:-1]}ied"
    return f"{base}d" if base.endswith("e") else f"{base}ed"


def _is_doubled(base: str) -> bool:
    """Of several syllables, those that double and are not listed end like `refer` or `permit`; `-en` and `-it` mostly do not."""
    if not _MAY_DOUBLE.search(base):
        return False
    return _ONE_SYLLABLE.match(base) is not None or not base.endswith(("en", "er", "on", "it", "et", "op", "el", "al"))
