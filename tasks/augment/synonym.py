"""The operator `synonym`: a few words of a text are replaced by others that mean the same."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline_config.augmentation import SynonymConfig
from tasks.augment.grammar import surest
from tasks.augment.operators import Candidate, Missing, Request
from tasks.augment.thesaurus import Meant, Thesaurus
from tasks.augment.tokens import Token, Tokens, read_tokens
from tasks.augment.wordnet import COMMAND, NEEDS, WordNet, find_wordnet, open_wordnet
from tasks.files import sha256_json

NAME = "synonym"
NOTHING = "nothing to replace"
NOT_ENGLISH = "not English"

_RULES = 1
"""Counted up when the same text and seed give another candidate than before."""
_KNOWN = 0.7
"""Share of a text's words that must be English."""

_PARTICLES = frozenset(("up", "down", "out", "off", "on", "in", "over", "back", "away", "through", "along", "around"))
_BOUND = frozenset(("to", "for", "of", "about", "into", "at", "like", "as"))
"""After a verb these belong to it, and another verb would want another one."""
_BEFORE_INFINITIVE = frozenset(("try", "attempt", "seem", "appear", "begin", "start", "continue", "proceed"))
_ABLE = ("can", "could")
_INTO = frozenset(("to", "into", "for", "from"))
_AID = frozenset(("help", "assist"))
_AID_ENDS = re.compile(r"\s*(?:(?:me|us|you|them|him|her)\b)?\s*(?:[.?!,;]|with\b|please\b|$)")
"""`help me` and no more: `help me find it` is no `assist me find it`."""
_UNSURE_SOUND = re.compile("h|u|eu|one|once", re.IGNORECASE)
"""`an hour`, `a union`: a letter that does not tell which article goes before it."""


class _Option(NamedTuple):
    token: int
    others: tuple[str, ...]


class Synonym:
    """Replaces words by synonyms from WordNet, in the form and case of the word.

    A word is replaced only if its part of speech is clear from its neighbours, if it is no part of a longer entry of the dictionary, and if
    most of its use, and most of the other word's, has the meaning that both share. Which of the words that are left is drawn from the
    request's seed and text alone.

    Args:
        wordnet: the dictionary.
        max_share: share of a text's words that may be replaced; one word may in any case.
    """

    def __init__(self, wordnet: WordNet, max_share: float) -> None:
        self._thesaurus = Thesaurus(wordnet)
        self._max_share = max_share
        self.version = sha256_json({"operator": NAME, "rules": _RULES, "wordnet": wordnet.digest, "max_share": max_share})

    @property
    def name(self) -> str:
        """As in the configuration."""
        return NAME

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        """One candidate for each request, in order; without text for one that is not English or has no word to replace."""
        for request in requests:
            tokens = read_tokens(request.text, self._thesaurus)
            options = list(self._options(tokens)) if _is_english(tokens) else None
            if options:
                yield Candidate(request.key, self._draw(tokens, options, request.seed))
            else:
                yield Candidate(request.key, None, NOT_ENGLISH if options is None else NOTHING)

    def _draw(self, tokens: Tokens, options: Sequence[_Option], seed: int) -> str:
        chance = random.Random(f"{seed}\n{tokens.text}")
        most = max(1, int(self._max_share * len(tokens.words)))
        chosen = chance.sample(options, min(len(options), most))
        return tokens.replace({option.token: chance.choice(option.others) for option in chosen})

    def _options(self, tokens: Tokens) -> Iterator[_Option]:
        likely = [place for place, token in enumerate(tokens.tokens) if _may_go(token)]
        bound = self._in_phrases(tokens.tokens) if likely else frozenset()
        for place in likely:
            entry = tokens.tokens[place].entry
            if entry is None or place in bound:
                continue
            found = surest([each.reading for each in entry.meant], tokens.before(place), tokens.after(place))
            if found is None:
                continue
            meant = entry.meant[found]
            if others := tuple(other for other in meant.others if self._goes(tokens, place, meant, other)):
                yield _Option(place, others)

    def _in_phrases(self, tokens: Sequence[Token]) -> set[int]:
        """Words that belong to an entry of two or three: `credit card`, `by mistake`."""
        phrases, beginnings = self._thesaurus.phrases, self._thesaurus.phrase_beginnings
        stems = [token.entry.stems if token.entry is not None else () for token in tokens] + [(), ()]
        bound: set[int] = set()
        for place in range(len(tokens)):
            for first in stems[place]:
                if first not in beginnings:
                    continue
                for second in stems[place + 1]:
                    if f"{first}_{second}" in phrases:
                        bound |= {place, place + 1}
                    if any(f"{first}_{second}_{third}" in phrases for third in stems[place + 2]):
                        bound |= {place, place + 1, place + 2}
        return bound

    def _goes(self, tokens: Tokens, place: int, meant: Meant, other: str) -> bool:
        """Whether another word can take the place without any change around it, but for `a` and `an`."""
        if tokens.follows_article(place) and _UNSURE_SOUND.match(other):
            return False
        if meant.part == "noun":
            return not _is_in_compound(tokens, place)
        if meant.part == "adj":
            return tokens.after(place) not in ("preposition", "to")
        return meant.part == "adv" or self._verb_goes(tokens, place, meant.base, other)

    def _verb_goes(self, tokens: Tokens, place: int, base: str, other: str) -> bool:
        stems, after = self._thesaurus.entry(other).stems, tokens.after(place)
        following = list(tokens.clause_after(place, 5))
        if following[:1] == ["to"]:
            return (
                base in _BEFORE_INFINITIVE and not _BEFORE_INFINITIVE.isdisjoint(stems) and not (base == "seem" and _is_able(tokens, place))
            )
        if not _BOUND.isdisjoint(following[:1]) or "seem" in stems or ("attempt" in stems and after not in ("end", "adverb")):
            return False  # `attempt my card`, `it seems.`
        if base in _AID and not _is_mere_aid(tokens, place):
            return False
        if base == "change" and (after in ("end", "comma") or not _INTO.isdisjoint(following)):  # what is altered has no `into`
            return False
        return not self._is_phrasal(base, following)

    def _is_phrasal(self, base: str, following: Sequence[str]) -> bool:
        """Whether a particle belongs to the verb, right behind it or behind its object: `top it up`."""
        near = [word for number, word in enumerate(following) if number == 0 or word in _PARTICLES]
        return any(f"{base}_{word}" in self._thesaurus.phrases for word in near)


def open_synonym(config: SynonymConfig) -> Synonym | Missing:
    """The operator with the first WordNet that this machine has, or what is missing.

    Raises:
        DataError: there is one, and it is damaged.
    """
    place = find_wordnet()
    return Missing(NAME, NEEDS, COMMAND) if place is None else Synonym(open_wordnet(place), config.max_share)


def _is_english(tokens: Tokens) -> bool:
    """Going by the words that are not protected."""
    free = [token.entry for token in tokens.words if token.free and token.entry is not None]
    return sum(entry.known for entry in free) >= _KNOWN * len(free)


def _may_go(token: Token) -> bool:
    usual_case = token.text.islower() or (token.text[0].isupper() and token.text[1:].islower())
    return token.entry is not None and token.free and token.entry.replaceable and usual_case


def _is_in_compound(tokens: Tokens, place: int) -> bool:
    """Beside another noun, or what may be one: `delivery time`; also behind a particle: `top up option`."""
    beside = {tokens.before(place), tokens.after(place)}
    return not beside.isdisjoint(("noun", "other")) or (place > 0 and tokens.tokens[place - 1].lower in _PARTICLES)


def _is_mere_aid(tokens: Tokens, place: int) -> bool:
    """Not `help me find it`, and not the cry `Help!`."""
    cry = tokens.before(place) == "begin" and tokens.after(place) in ("end", "comma")
    return not cry and _AID_ENDS.match(tokens.text, tokens.tokens[place].end) is not None


def _is_able(tokens: Tokens, place: int) -> bool:
    """`I can't seem to`, `could not seem to`."""
    return any(token.lower.startswith(_ABLE) for token in tokens.tokens[max(0, place - 2) : place])
