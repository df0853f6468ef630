"""Which part of speech a word of an English text has, told from its neighbours; made to abstain rather than to err.

No tagger: only words that could be replaced are looked at, and what is not clear is left alone. Closed classes are listed; for the
others the dictionary says how often a word was met as a noun, verb, adjective or adverb, and both neighbours say what may stand there.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tasks.augment.inflection import Form

_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "determiner": "a an the my your his its our their every each no any some another either neither both these those all such whose",
        "this": "this that her",
        "preposition": "of in on at by for from with without into onto through during before after since until till under over between"
        " among against about via per upon within across towards toward behind beyond near besides despite except off than like as unlike"
        " up down out back away along around inside outside past regarding concerning including excluding following considering",
        "to": "to",
        "subject": "i we they he she who i've i'd i'm we've they've",
        "either": "you it one ones there everything something anything nothing everyone someone anyone somebody anybody everybody nobody"
        " none mine yours ours theirs",
        "object": "me us them him myself yourself itself himself herself ourselves themselves",
        "modal": "can could will would shall should may might must cannot can't couldn't won't wouldn't shouldn't mustn't cant couldnt wont"
        " wouldnt shouldnt i'll you'll we'll they'll it'll do does did don't doesn't didn't dont doesnt didnt let's let",
        "be": "be am is are was were been being isn't aren't wasn't weren't isnt arent wasnt werent i'm you're we're they're it's that's"
        " what's there's here's he's she's where's im get gets got getting gotten become becomes became",
        "have": "have has had having haven't hasn't hadn't havent hasnt hadnt i've you've we've they've ive",
        "not": "not never",
        "conjunction": "and or but if because when while although though unless whether cause cos nor",
        "question": "what which where why when how whom",
        "degree": "very too quite extremely more most less least really rather pretty fairly",
        "adverb": "so already just still also always ever only even yet now then again today soon currently recently actually here else"
        " maybe perhaps please somehow anymore once twice well",
        "number": "first second third last next other same two three four five six seven eight nine ten many much few several",
    }
)
CLASS_OF: Mapping[str, str] = MappingProxyType({word: kind for kind, words in reversed(list(_CLASSES.items())) for word in words.split()})
"""Words of closed classes, which are never replaced, and their class; the first one that lists a word counts."""

_FORMS: tuple[Form, ...] = ("singular", "plural", "base", "third", "ing", "past", "positive", "adverb")


def _table(rows: str) -> Mapping[str, Mapping[Form, float]]:
    lines = (line.split() for line in rows.strip().splitlines())
    return {name: dict(zip(_FORMS, map(float, weights), strict=True)) for name, *weights in lines}


BEFORE = _table("""
begin        .4   .4   .6   .05  .3   .2   .5   1
comma        .7   .7   .5   .3   .5   .5   .6   .8
determiner   1    1    0    0    .1   .1   1    .1
this         1    .5   .05  .3   .1   .3   .7   .3
preposition  1    1    .02  0    1    .1   .7   .05
to           .05  .2   1    0    .05  0    .1   .2
subject      .01  .01  1    1    .2   1    .02  .5
either       .05  .05  1    1    .3   1    .2   .5
object       .1   .1   .7   .05  .4   .1   .3   .5
modal        .04  .3   1    0    0    0    .04  .5
be           .1   .1   0    0    1    1    1    .5
have         .3   .6   0    0    .1   1    .4   .5
not          .1   .1   1    .2   .6   1    .7   .7
conjunction  1    1    .6   .5   .5   .6   .7   .7
question     .7   1    .1   .6   .1   .5   .5   .5
degree       .02  .02  .05  .05  .2   .5   1    1
adverb       .1   .1   1    .7   .7   1    .6   .5
number       1    1    .02  .02  .05  .05  .7   .05
noun         .6   .8   .25  .7   .3   .6   .1   .5
verb         .7   .8   .03  .02  .4   .1   .6   .7
adjective    1    1    .02  .02  .05  .03  .5   .05
other        .5   .5   .5   .5   .5   .5   .5   .5
""")
"""How well each form goes with the class of the word before it: estimates of ours, 1 for usual and 0 for impossible."""
AFTER = _table("""
end          1    1    .7   .5   .7   .8   .7   1
comma        1    1    .7   .5   .7   .8   .7   1
determiner   .1   .1   1    1    1    1    .03  .6
this         .15  .15  1    1    1    1    .05  .6
preposition  1    1    .8   .8   .8   .9   .3   .7
to           .8   .8   .8   .8   .8   .9   .5   .5
subject      .5   .5   .3   .2   .2   .3   .1   .7
either       .2   .2   1    1    .9   1    .1   .6
object       .03  .03  1    1    1    1    .02  .3
modal        1    1    .05  .05  .1   .1   .05  .6
be           1    1    .1   .1   .2   .1   .05  .5
have         1    1    .1   .1   .1   .1   .05  .6
not          .5   .5   .3   .3   .3   .3   .3   .5
conjunction  1    1    .8   .7   .7   .8   .6   .8
question     .5   .5   1    1    1    1    .3   .6
degree       .3   .3   .8   .8   .8   .8   .3   .5
adverb       .7   .7   .7   .7   .7   .8   .4   .6
number       .2   .2   1    1    1    1    .1   .5
noun         .4   .1   .7   .7   .8   .6   1    .3
verb         .4   .6   .1   .05  .1   .1   .1   1
adjective    .1   .1   .7   .7   .7   .6   .6   1
other        .5   .5   .5   .5   .5   .5   .5   .5
""")
"""The same for the word after it."""


class Reading(NamedTuple):
    """A form that a word may be, and how often it was met as this part of speech."""

    form: Form
    weight: float


def surest(readings: Sequence[Reading], before: str, after: str, least: float = 0.85) -> int | None:
    """Which of a word's readings fits between two neighbours; None if none has at least this share.

    Args:
        readings: all that the dictionary knows.
        before: class of the word before, a row of :data:`BEFORE`.
        after: class of the word after, a row of :data:`AFTER`.
        least: the share that is sure enough.
    """
    left, right = BEFORE[before], AFTER[after]
    fits = [left[form] * right[form] for form, _ in readings]
    scores = [weight * fit for (_, weight), fit in zip(readings, fits, strict=True)]
    best = scores.index(max(scores))
    # It must be usual by itself, too: a dictionary does not know every use of a word.
    usual = fits[best] >= _FITS and readings[best].weight >= _USUAL * sum(weight for _, weight in readings)
    return best if usual and scores[best] >= least * sum(scores) else None


_FITS, _USUAL = 0.05, 0.05
