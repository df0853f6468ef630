"""Leaks in other words, labels that their neighbours contradict, and the spread of vectors."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.meaning import CONTRADICTED, FOUND, OVERLAP, SAME, find_contradicted_labels, find_overlap, score_pairs, spread
from tasks.data.paraphrases import Vectors
from tasks.embeddings import EmbeddedEmbedder
from tests.unit.tasks.data.word_embedder import WordEmbedder

PARAPHRASES, HARD = (Path(__file__).parents[4] / "benchmarks" / f"paraphrases{kind}.jsonl" for kind in ("", "_hard"))
KINDS = ("shared_words", "other_words", "number", "negation", "same_matter")

EMBEDDER = WordEmbedder()
embed = EMBEDDER.embed


def unit(vectors: Sequence[Sequence[float]] | np.ndarray) -> Vectors:
    given_ = np.asarray(vectors, dtype=np.float32)
    return np.asarray(given_ / np.linalg.norm(given_, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def embedder() -> EmbeddedEmbedder:
    return EmbeddedEmbedder()


# Two given texts


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("cancel order", "annul order", True),
        ("cancel order", "extend order", False),
        ("cancel order", "Cancel orders", True),
        ("cancel the order", "please cancel my order", True),
        ("cancel order", "not cancel order", False),
        ("cancel order", "cancel order contract extend", False),
        ("cancel order", "contract", False),
    ],
)
def test_what_two_texts_do_not_share_decides(text: str, other: str, same: bool) -> None:
    forth, back = score_pairs([text, other], [other, text], EMBEDDER)
    assert forth == back
    assert bool(forth >= SAME) is same


def test_no_pair_has_no_score() -> None:
    assert score_pairs([], [], EMBEDDER).size == 0


def test_texts_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        score_pairs(["cancel"], [], EMBEDDER)


# Against held-out rows

HELD = ["extend contract", "annul order", "annul order"]


def test_a_row_is_matched_with_the_first_of_the_best_held_rows() -> None:
    texts = ["not extend", "cancel order", "extend the contract"]
    found = find_overlap(texts, embed(texts), HELD, embed(HELD), EMBEDDER)
    assert found.schema == OVERLAP
    assert found.select("row", "held").rows() == [(1, 1), (2, 0)]
    assert found["score"].min() >= FOUND  # type: ignore[operator]


def test_of_several_held_rows_that_say_the_same_the_best_is_matched() -> None:
    held = ["annul contract order", "annul order"]
    assert find_overlap(["cancel order"], embed(["cancel order"]), held, embed(held), EMBEDDER)["held"].to_list() == [1]


@pytest.mark.parametrize(("texts", "held"), [([], HELD), (["cancel order"], [])])
def test_nothing_to_compare_gives_an_empty_table(texts: list[str], held: list[str]) -> None:
    empty = np.zeros((0, 7), dtype=np.float32)
    found = find_overlap(texts, embed(texts) if texts else empty, held, embed(held) if held else empty, EMBEDDER)
    assert found.schema == OVERLAP
    assert found.is_empty()


def test_the_order_of_rows_and_of_held_rows_does_not_matter() -> None:
    texts, held = ["cancel order", "extend contract", "not contract", "annul contract"], [*HELD, "contract", "cancel contract"]
    expected = _matched_texts(texts, held)
    for seed in range(5):
        shuffle = random.Random(seed)
        assert _matched_texts(shuffle.sample(texts, 4), shuffle.sample(held, 5)) == expected


def test_which_of_equally_near_held_rows_are_judged_does_not_depend_on_their_order() -> None:
    equally_near = ["annul", "annul order contract extend", "cancel", "order"]
    matches = [_matched_texts(["cancel order"], random.Random(seed).sample(equally_near, 4)) for seed in range(8)]
    assert {held for match in matches for _, held, _ in match} == {"annul"}
    assert all(matches)


def _matched_texts(texts: list[str], held: list[str]) -> set[tuple[str, str, float]]:
    found = find_overlap(texts, embed(texts), held, embed(held), EMBEDDER)
    return {(texts[row], held[place], score) for row, place, score in found.rows()}


@pytest.mark.embedded
@pytest.mark.slow
def test_paraphrases_are_told_from_look_alikes(embedder: EmbeddedEmbedder) -> None:
    """The threshold was chosen on the pairs with an even hash; here the others are looked at too."""
    lines = [json.loads(line) for line in PARAPHRASES.read_text(encoding="utf-8").splitlines()]
    texts, others = [line["text"] for line in lines], [line["other"] for line in lines]
    same, said = np.array([line["same"] for line in lines]), score_pairs(texts, others, embedder) >= SAME
    unseen = np.array(
        [hashlib.sha256(f"{text}\n{other}".encode()).digest()[-1] % 2 == 1 for text, other in zip(texts, others, strict=True)]
    )
    for chosen in (unseen, np.ones_like(unseen)):
        hits = (same & said & chosen).sum()
        assert hits / (same & chosen).sum() >= 0.85
        assert hits / (said & chosen).sum() >= 0.8


@pytest.mark.embedded
@pytest.mark.slow
def test_hard_pairs_are_told_apart_by_more_than_the_words_they_share(embedder: EmbeddedEmbedder) -> None:
    """True paraphrases in much the same words, and pairs that a number, a negation, a role or the matter tells apart."""
    lines = [json.loads(line) for line in HARD.read_text(encoding="utf-8").splitlines()]
    scores = score_pairs([line["text"] for line in lines], [line["other"] for line in lines], embedder)
    said = {kind: np.mean([score >= FOUND for score, line in zip(scores, lines, strict=True) if line["kind"] == kind]) for kind in KINDS}
    assert min(said["shared_words"], said["other_words"]) >= 0.8
    assert max(said["number"], said["negation"], said["same_matter"]) <= 0.2


@pytest.mark.embedded
def test_few_texts_are_matched_where_no_held_row_says_the_same(embedder: EmbeddedEmbedder) -> None:
    lines = [json.loads(line) for line in PARAPHRASES.read_text(encoding="utf-8").splitlines()]
    texts, held = [line["text"] for line in lines if line["same"]][::2], [line["other"] for line in lines if line["same"]][1::2]
    found = find_overlap(texts, embedder.embed(texts), held, embedder.embed(held), embedder)
    assert found.height / len(texts) <= 0.1


# Labels


def two_groups(stray: str) -> tuple[Vectors, list[str]]:
    """Eight rows of one label around one direction, eight of another around another; the first of the former bears `stray`."""
    noise = np.random.default_rng(1).normal(scale=0.05, size=(16, 8))
    centres = np.repeat(np.eye(8)[:2], 8, axis=0)
    return unit(centres + noise), [stray, *["a"] * 7, *["b"] * 8]


def test_a_label_among_another_labels_rows_is_found() -> None:
    found = find_contradicted_labels(*two_groups("b"))
    assert found.schema == CONTRADICTED
    assert found.select("row", "label", "others").rows() == [(0, "b", "a")]
    assert 0.25 <= found["score"][0] <= 1


@pytest.mark.parametrize("stray", ["a", "alone"])
def test_right_labels_and_labels_of_few_rows_are_left(stray: str) -> None:
    assert find_contradicted_labels(*two_groups(stray)).is_empty()


def test_labels_that_are_close_in_meaning_are_left() -> None:
    vectors = unit(np.eye(8)[0] + np.random.default_rng(2).normal(scale=0.05, size=(16, 8)))
    assert find_contradicted_labels(vectors, ["a", "b"] * 8).is_empty()


def test_rows_far_from_all_others_are_left() -> None:
    assert find_contradicted_labels(unit(np.eye(16)), ["a", "b"] * 8).is_empty()


def test_one_row_and_no_row_contradict_nothing() -> None:
    assert find_contradicted_labels(unit([[1, 0]]), ["a"]).is_empty()
    assert find_contradicted_labels(np.zeros((0, 2), dtype=np.float32), []).is_empty()


def test_the_order_of_the_rows_does_not_matter_for_labels() -> None:
    vectors, labels = two_groups("b")
    order = random.Random(3).sample(range(16), 16)
    found = find_contradicted_labels(vectors[order], [labels[place] for place in order])
    assert [order[row] for row in found["row"]] == [0]


# Spread


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda vector: np.linalg.norm(vector) > 0.1), min_size=1))
def test_spread_is_the_mean_cosine_distance_from_the_mean(vectors: list[list[float]]) -> None:
    units = unit(vectors)
    centroid, distance = spread(units)
    assert np.allclose(centroid, units.mean(axis=0), atol=1e-6)
    length = np.linalg.norm(centroid)
    if length > 1e-3:
        assert distance == pytest.approx(float(np.mean(1 - units @ centroid / length)), abs=1e-4)


def test_equal_vectors_have_no_spread_and_opposite_ones_all_of_it() -> None:
    assert spread(unit([[1, 2], [1, 2]]))[1] == pytest.approx(0, abs=1e-6)
    assert spread(unit([[1, 0], [-1, 0]]))[1] == pytest.approx(1)


def test_no_vector_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        spread(np.zeros((0, 3), dtype=np.float32))
