"""Placeholders stand where personal data and secrets were, in chats as they are trained on and as they are asked."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_config.data import SensitiveConfig
from tasks.masking import mask_json, mask_messages, mask_text, texts_in_json
from tasks.rows import Message
from tasks.screening import KINDS, Kind, find_in_text

CARD = "4111 1111 1111 1111"
PASSWORD = "hunTer2xY!9q"
SNIPPETS = [
    "bob@example.com", CARD, "4111111111111111", "+49 30 901820", "10.20.30.40", "DE89 3704 0044 0532 0130 00", "078-05-1120", "ssn ",
    f"password={PASSWORD}", PASSWORD, "<EMAIL>", "version ", "password", "call me at 5551234567", '{"a": "bob@example.com"}', "é🎉",
    "\n", "\\", '"', ": ", "{", "[]", "=", " ",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=4)), max_size=4).map("".join)
JSON = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(), st.just(4111111111111111)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3), inner.map(json.dumps)),
    max_leaves=6,
)
CALLS = st.builds(lambda value, ascii: json.dumps(value, ensure_ascii=ascii), JSON, st.booleans())
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXTS}, optional={"tool_calls": CALLS}
)


def called(value: object) -> object:
    """What remains of a value in tool calls when everything is masked."""
    return json.loads(mask_json(json.dumps(value), KINDS).text)


def test_the_kinds_to_mask_are_those_whose_policy_says_so() -> None:
    assert SensitiveConfig().masked_kinds == ()
    assert SensitiveConfig(email="mask", card="mask", phone="quarantine").masked_kinds == ("card", "email")


def test_every_turn_is_masked_whatever_its_role() -> None:
    roles = ("system", "user", "assistant")
    turns: list[Message] = [{"role": role, "content": f"{role}: bob@example.com, x@example.org"} for role in roles]
    masked = mask_messages(turns, ["email"])
    assert masked.messages == [{"role": role, "content": f"{role}: <EMAIL>, <EMAIL>"} for role in roles]
    assert masked.counts == {"email": 6}


def test_the_messages_that_were_given_stay_as_they_are() -> None:
    turns: list[Message] = [{"role": "user", "content": "bob@example.com"}]
    mask_messages(turns, KINDS)
    assert turns == [{"role": "user", "content": "bob@example.com"}]


def test_only_the_kinds_asked_for_are_masked() -> None:
    text = "bob@example.com, 10.20.30.40"
    assert mask_text(text, ["ip"]) == ("bob@example.com, <IP>", Counter(ip=1))
    assert mask_text(text, []) == (text, Counter())


def test_digits_of_an_account_that_stays_are_no_phone_number() -> None:
    text = "DE89 3704 0044 0532 0130 00 or +49 30 901820"
    assert mask_text(text, ["phone"]).text == "DE89 3704 0044 0532 0130 00 or <PHONE>"


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"to": "bob@example.com"}, {"to": "<EMAIL>"}),
        ({"to": "a\nbob@example.com"}, {"to": "a\n<EMAIL>"}),
        ({"n": 4111111111111111, "m": 3, "ok": True}, {"n": "<CARD>", "m": 3, "ok": True}),
        ([4.5e20, 5551234.567, None, ""], [4.5e20, 5551234.567, None, ""]),
        ({"password": PASSWORD}, {"password": "<SECRET>"}),
        ({"note": PASSWORD}, {"note": PASSWORD}),
        ({"bob@example.com": ["+49 30 901820"]}, {"<EMAIL>": ["<PHONE>"]}),
        ({"1.2.3.4": "a name", "ip": "1.2.3.4"}, {"1.2.3.4": "a name", "ip": "<IP>"}),
        ({"arguments": json.dumps({"to": "\nbob@example.com"})}, {"arguments": json.dumps({"to": "\n<EMAIL>"})}),
        ({"text": "[unclosed bob@example.com"}, {"text": "[unclosed <EMAIL>"}),
        ({"text": "\ud83d bob@example.com"}, {"text": "\ud83d <EMAIL>"}),
    ],
)  # fmt: skip
def test_tool_calls_stay_json_of_the_same_shape(value: object, masked: object) -> None:
    assert called(value) == masked


def test_tool_calls_without_findings_stay_as_written() -> None:
    text = '{ "a" : ["\\u00e9", 1.50, -7, "\\/"],"a":{}}'
    assert mask_json(text, KINDS) == (text, Counter())


def test_deep_json_is_masked_like_any_other() -> None:
    depth = 5000
    assert mask_json("[" * depth + '"bob@example.com"' + "]" * depth, KINDS).text == "[" * depth + '"<EMAIL>"' + "]" * depth


@given(st.lists(TURNS, max_size=3), st.sets(st.sampled_from(KINDS)))
@settings(max_examples=2 * settings().max_examples)
def test_masking_masked_messages_changes_nothing(turns: list[Message], kinds: set[Kind]) -> None:
    masked = mask_messages(turns, kinds)
    assert mask_messages(masked.messages, kinds) == (masked.messages, Counter())


@given(JSON, st.booleans())
@settings(max_examples=2 * settings().max_examples)
def test_what_is_masked_in_json_was_found_in_its_texts(value: object, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    masked = mask_json(text, KINDS)
    json.loads(masked.text)
    assert (masked.text == text) == (not masked.counts)
    assert not masked.counts or any(find_in_text(part) for part in texts_in_json(text))
