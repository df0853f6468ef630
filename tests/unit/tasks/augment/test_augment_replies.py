"""What is taken from a model's reply, and what of it is no wording at all."""

import pytest

from tasks.augment.operators import Request
from tasks.augment.replies import read_reply, sift
from tasks.endpoints import Reply

ASKED = "Where is my new card?"


@pytest.mark.parametrize(
    "reply",
    [
        "I wonder where my new card is", "  I wonder where my new card is\n", '"I wonder where my new card is"',
        "Here is a paraphrase: I wonder where my new card is", "Sure! Here's the reworded message:\n\nI wonder where my new card is",
        "Reworded message: “I wonder where my new card is”", "**Rewritten:** I wonder where my new card is",
        "Certainly. Here is one way to say it:\nI wonder where my new card is", "Message: I wonder where my new card is",
        "Here is the translation: I wonder where my new card is",
    ],
)  # fmt: skip
def test_the_wording_is_what_is_left_without_announcement_and_quotes(reply: str) -> None:
    assert read_reply(ASKED, Reply(reply)) == ("I wonder where my new card is", None)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"), (" \n ", "empty"), ('""', "empty"), ("Here is a paraphrase:", "empty"),
        ("I'm sorry, but I can't assist with that request.", "refused"), ("As an AI language model, I don't have a card.", "refused"),
        ("Lo siento, pero no puedo ayudarte con eso.", "refused"),
        ("Where might my card be?\n\nI kept the question's tone.", "more than asked for"),
        ("1. Where is it?\n2. Where did it go?", "more than asked for"),
    ],
)  # fmt: skip
def test_a_reply_that_is_no_wording_is_told_by_its_reason(reply: str, reason: str) -> None:
    assert read_reply(ASKED, Reply(reply)) == (None, reason)


def test_half_a_reply_is_none() -> None:
    assert read_reply(ASKED, Reply("I wonder where my", cut_off=True)) == (None, "cut off")


def test_a_text_that_has_them_itself_keeps_announcement_quotes_lines_and_apology() -> None:
    for asked, said in [
        ("Translate this text: good day", "Translate the following text: good day"),
        ('"good day" in French?', '"good day", in French'),
        ("Two things.\nFirst, my card.", "There are two matters.\nThe first is my card."),
        ("I'm sorry, but I can't help with this any more, close my account", "Sorry, I cannot help with this any longer: close my account"),
    ]:
        assert read_reply(asked, Reply(said)) == (said, None)


def test_quotation_marks_within_a_wording_stay() -> None:
    said = '"Declined" is what it says about my "top-up"'
    assert read_reply(ASKED, Reply(said)) == (said, None)


def test_empty_and_endless_texts_are_not_asked_about() -> None:
    requests = [Request("a", " ", 1), Request("b", "fine", 1), Request("c", "x" * 4001, 1)]
    fit, unfit = sift(requests)
    assert [request.key for request in fit] == ["b"]
    assert [(candidate.key, candidate.text, candidate.reason) for candidate in unfit] == [
        ("a", None, "empty text"),
        ("c", None, "too long"),
    ]
