"""Answers that decline are found by how they begin."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.data.quarantine import FAULTS
from tasks.data.refusals import find_refusals


def answers(*outputs: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"row_id": [str(number) for number in range(len(outputs))], "output": outputs}, schema_overrides={"output": pl.String}
    )


def declines(answer: str) -> bool:
    return find_refusals(answers(answer, "Restart the router.")).height == 1


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, but I cannot help you with this.",
        "Sorry, I can't do that.",
        "I cannot provide medical advice.",
        "I am unable to comply with this request.",
        "I apologize, but I'm not able to generate that kind of content.",
        "Unfortunately, given my guidelines, I am not able to help with it.",
        "While I understand your frustration, I cannot help with that.",
        "I must respectfully decline to answer.",
        "I'm not comfortable discussing this topic.",
        "That is not something I can help with.",
        "This request goes against my guidelines.",
        "As an AI language model, I don't have personal opinions.",
        "I'm just an AI and I cannot browse the internet.",
        "I don't have access to real-time information.",
        "I am an AI assistant developed by a bank. How can I help you today?",
        "I'm going to have to decline.",
        "I'd prefer not to.",
        "I was not designed to have opinions.",
        "That's an interesting question, but I cannot help with it.",
        "As an AI model, giving medical advice is beyond my capabilities.",
        "The assistant is unable to answer this question.",
        "Dazu kann ich leider nichts sagen.",
        "Il m'est impossible de répondre à cette question.",
        "Sure! Here is the answer:",
        "I hope this helps!",
        '"**I\'m sorry**, but I cannot share that."',
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Tut mir leid, das kann ich nicht beantworten.",
        "Als KI-Sprachmodell habe ich keine persönliche Meinung.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "En tant qu'intelligence artificielle, je n'ai pas d'opinion.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Como modelo de lenguaje, no tengo opiniones personales.",
    ],
)
def test_answers_that_decline_are_found(answer: str) -> None:
    assert declines(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that. Please restart the router and try again.",
        "Unfortunately, we cannot refund orders after 30 days.",
        "I can't find the setting in the menu; open Settings > Network.",
        "I can't access this folder since Monday.",
        "I don't have access to this folder.",
        "Sorry, I can't make it tonight.",
        "I can't help but smile.",
        "You cannot share this file because it is locked.",
        "As an AI engineer, I do not recommend it.",
        "As an AI assistant of this bank, I can help you. Open the app first.",
        "Sure! Here is the answer: 42.",
        "The assistant replied: I'm sorry, but I can't help with that.",
        "declined_transfer",
        "It is not safe to share your password with others.",
        "This is something I can show you: open Settings.",
        "The card was declined, but I cannot see why.",
        "I need to process this payment today but the app fails.",
        "Unable to connect to the VPN.",
        "Leider ist der Artikel ausverkauft.",
        "Ich kann Ihnen dabei helfen: Öffnen Sie die Einstellungen.",
        "Je suis désolé pour le retard. Votre colis arrive demain.",
        "No, puedes hacerlo en la app.",
        "No puedo esperar para verte.",
        "",
    ],
)
def test_answers_that_help_are_left_alone(answer: str) -> None:
    assert not declines(answer)


def test_a_long_answer_has_something_to_say() -> None:
    refusal = "I'm sorry, but I can't help with that. "
    assert declines(refusal + "x" * (1000 - len(refusal)))
    assert not declines(refusal + "x" * (1001 - len(refusal)))


def test_an_answer_that_is_missing_is_none() -> None:
    assert find_refusals(answers(None)).schema == FAULTS
    assert find_refusals(answers(None)).is_empty()


def test_labels_are_no_refusals_and_refusals_among_labels_are() -> None:
    sentence = "I can't help with that."
    canned = answers(*["Please hold the line.", "I will connect you.", sentence] * 3)
    assert find_refusals(canned).is_empty()
    among = answers(*["network", "email"] * 20, *["I'm sorry, but I can't assist with that request."] * 4)
    assert find_refusals(among)["row_id"].to_list() == ["40", "41", "42", "43"]


@settings(max_examples=30)
@given(before=st.text(min_size=1, max_size=30).filter(lambda text: any(map(str.isalpha, text))))
def test_what_stands_before_a_refusal_decides(before: str) -> None:
    quoted = f"Answer {before}: I'm sorry, but I can't help with that."
    assert not declines(quoted)
