"""A word is put into the form of another one where that is certain, and nowhere else."""

from pathlib import Path

import pytest

from tasks.augment.inflection import Form, form_of, inflect
from tasks.augment.wordnet import PartOfSpeech, WordNet
from tests.unit.tasks.augment.dictionary import Synset, write_wordnet

WORDS = (
    "buy purchase try choose begin stop visit refer commit admire die play go fix watch agree permit hope travel flip",
    "card box country child hero leaf crisis fish bus key analysis man index",
)
EXCEPTIONS = {
    "verb": "bought buy\nbegan begin\nbegun begin\nbeginning begin\nstopped stop\nstopping stop\nchose choose\nchosen choose\nwent go\n"
    "gone go\ngoes go\ncommitted commit\ncommitting commit\ndying die\npermitted permit\npermitting permit\n",
    "noun": "children child\nleaves leaf\ncrises crisis\nindices index\nindexes index\nmen man\n",
}


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    verbs, nouns = (words.split() for words in WORDS)
    synsets = [*(Synset("verb", f"{word} 9") for word in verbs), *(Synset("noun", f"{word} 9") for word in nouns)]
    folder: Path = tmp_path_factory.mktemp("wordnet")
    return WordNet(write_wordnet(folder, synsets, EXCEPTIONS))


@pytest.mark.parametrize(
    ("base", "part", "form", "made"),
    [
        ("card", "noun", "plural", "cards"),
        ("box", "noun", "plural", "boxes"),
        ("country", "noun", "plural", "countries"),
        ("key", "noun", "plural", "keys"),
        ("child", "noun", "plural", "children"),
        ("leaf", "noun", "plural", "leaves"),
        ("hero", "noun", "plural", None),
        ("index", "noun", "plural", None),
        ("bus", "noun", "plural", None),
        ("card", "noun", "singular", "card"),
        ("try", "verb", "third", "tries"),
        ("play", "verb", "third", "plays"),
        ("watch", "verb", "third", "watches"),
        ("go", "verb", "third", None),
        ("purchase", "verb", "ing", "purchasing"),
        ("agree", "verb", "ing", "agreeing"),
        ("die", "verb", "ing", "dying"),
        ("stop", "verb", "ing", "stopping"),
        ("visit", "verb", "ing", "visiting"),
        ("refer", "verb", "ing", "refering"),
        ("flip", "verb", "ing", None),
        ("purchase", "verb", "past", "purchased"),
        ("try", "verb", "past", "tried"),
        ("buy", "verb", "past", "bought"),
        ("commit", "verb", "past", "committed"),
        ("choose", "verb", "past", None),
        ("begin", "verb", "past", None),
        ("flip", "verb", "past", None),
    ],
)
def test_forms_are_made_where_they_are_certain(wordnet: WordNet, base: str, part: PartOfSpeech, form: Form, made: str | None) -> None:
    assert inflect(base, part, form, wordnet) == made


@pytest.mark.parametrize(
    ("word", "base", "part", "form"),
    [
        ("cards", "card", "noun", "plural"),
        ("tries", "try", "verb", "third"),
        ("misses", "miss", "verb", "third"),
        ("missed", "miss", "verb", "past"),
        ("bought", "buy", "verb", "past"),
        ("buying", "buy", "verb", "ing"),
        ("bring", "bring", "verb", "base"),
        ("larger", "large", "adj", None),
        ("large", "large", "adj", "positive"),
        ("quickly", "quickly", "adv", "adverb"),
    ],
)
def test_the_form_of_a_word_is_told(word: str, base: str, part: PartOfSpeech, form: Form | None) -> None:
    assert form_of(word, base, part) == form
