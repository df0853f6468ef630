"""What two texts do not share decides whether they say the same, and some words decide alone."""

import numpy as np
import pytest

from tasks.data.paraphrases import Reading, contradicts, read_texts, score_readings
from tests.unit.tasks.data.word_embedder import WordEmbedder

EMBEDDER = WordEmbedder()


def readings(*texts: str) -> list[Reading]:
    return read_texts(texts, EMBEDDER.embed(texts), EMBEDDER)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("The meeting is at 10.", "The meeting is at 4."),
        ("Order 48812 is late.", "Order 48821 is late."),
        ("I was charged 25 euros.", "I was charged 2.50 euros."),
        ("Come on Tuesday.", "Come on Thursday."),
        ("It broke on 3 May and again in July.", "It broke on 3 May and again in August."),
        ("A flight from Oslo to Rome.", "A flight from Rome to Oslo."),
        ("Change my euros from the dollar", "Change my euros to the dollar"),
        ("I have received my card.", "I haven’t received my card."),
        ("The account was never blocked.", "The account was blocked yesterday."),
    ],
)
def test_some_words_decide_alone(text: str, other: str) -> None:
    left, right = readings(text, other)
    assert contradicts(left, right)
    assert contradicts(right, left)
    assert score_readings([(left, right)], EMBEDDER).tolist() == [0]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("I ordered 3 chairs.", "I ordered three chairs."),
        ("Raise it to 2,000 euros.", "Raise it to 2000 €."),
        ("Since 3 May it is slow.", "It is slow since 3 May, ticket 77."),
        ("Come on Tuesday.", "Come this week."),
        ("A train from Oslo to Rome.", "To Rome I want a train from Oslo."),
        ("The scanner does not work.", "The scanner is broken."),
        ("It is not that I cannot pay.", "I can pay."),
    ],
)
def test_what_may_be_said_in_two_ways_does_not_decide(text: str, other: str) -> None:
    left, right = readings(text, other)
    assert not contradicts(left, right)
    assert not contradicts(right, left)


def test_a_word_that_has_no_counterpart_lowers_the_score() -> None:
    same, other = readings("annul order", "cancel contract order")
    (asked,) = readings("cancel order")
    scores = score_readings([(asked, same), (asked, other)], EMBEDDER)
    assert scores[0] == pytest.approx((5 + 5 * 0.5**0.5 + 3) / 13, abs=1e-4)
    assert scores[1] < scores[0] - 0.2


def test_texts_without_words_say_nothing() -> None:
    assert score_readings([tuple(readings("!!!", "???"))], EMBEDDER).tolist() == [0]  # type: ignore[list-item]


def test_a_score_below_the_least_stays_below_it() -> None:
    pair = tuple(readings("cancel order", "extend contract"))
    assert score_readings([pair], EMBEDDER, least=0.9)[0] < 0.9  # type: ignore[list-item]


def test_words_are_the_mean_of_their_tokens() -> None:
    (read,) = readings("Cancel, my order")
    assert read.words == ("Cancel", "my", "order")
    assert read.content.tolist() == [True, False, True]
    assert np.allclose(np.linalg.norm(read.vectors, axis=1), 1, atol=1e-6)
