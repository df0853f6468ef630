"""Which tokens carry loss, what stands before them, and what a template can and cannot write."""

import json
from itertools import compress, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.errors import ModelError
from tasks.chat import (
    control_tokens,
    count_tokens,
    decode,
    encode_last_answer,
    encode_prompt,
    encode_row,
    encode_text,
    expected_answer,
    features_of,
    unrendered,
)
from tasks.rows import Message, Row, to_messages
from tests.builders import tiny_tokenizer

CALLS = json.dumps([{"name": "find", "arguments": {"ticket": 7}}])
CHAT: list[Message] = [
    {"role": "system", "content": "Route this ticket."},
    {"role": "user", "content": "my vpn drops"},
    {"role": "assistant", "content": "since when?"},
    {"role": "user", "content": "every hour, please help"},
    {"role": "assistant", "content": "", "tool_calls": CALLS},
    {"role": "tool", "content": "known fault"},
    {"role": "assistant", "content": "network"},
]
WRITES_CALLS = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
WRITES_ONE_CALL = (
    "{% for m in messages if m.tool_calls and m.tool_calls | length > 1 %}{{ raise_exception('one at a time') }}{% endfor %}" + WRITES_CALLS
)
FORGETS = (
    "{% for message in messages %}<|start|>{{ message.role }}\n"
    "{% if message.role != 'assistant' or loop.last %}{{ message.content }}{% endif %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
INSTRUCTIONS = (
    "{% for message in messages %}{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]\n"
    "{% elif message.role == 'assistant' %}{{ message.content }}<|end|>"
    "{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def plain() -> Any:
    return tiny_tokenizer()


def with_template(template: str) -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def row_of(messages: list[Message]) -> Row:
    return {"row_id": "r7", "digest": "", "group": "", "messages": messages}


def test_of_a_plain_chat_the_whole_answer_carries_loss(plain: Any) -> None:
    messages = to_messages("Route this ticket.", "my vpn drops", "network")
    encoded = encode_row(plain, row_of(messages))
    completion = encode_text(plain, "network")
    assert encoded == {
        "row_id": "r7",
        "prompt_ids": encode_prompt(plain, messages[:-1]),
        "completion_ids": completion,
        "supervised": [True] * len(completion),
    }


def test_of_several_turns_the_answers_carry_loss_and_nothing_else() -> None:
    tokenizer = with_template(WRITES_CALLS)
    encoded = encode_row(tokenizer, row_of(CHAT))
    learnt = tokenizer.decode(list(compress(encoded["completion_ids"], encoded["supervised"])))
    call = '<tool_call>{"name": "find", "arguments": {"ticket": 7}}</tool_call>'
    assert learnt == f"since when?<|end|>{call}<|end|>network<|end|>"
    rest = tokenizer.decode(list(compress(encoded["completion_ids"], [not learns for learns in encoded["supervised"]])))
    header = "<|start|>assistant\n"
    assert rest == f"\n<|start|>user\nevery hour, please help<|end|>\n{header}\n<|start|>tool\nknown fault<|end|>\n{header}"
    assert tokenizer.decode(encoded["prompt_ids"]).endswith(f"my vpn drops<|end|>\n{header}")


WORDS = st.lists(st.characters(exclude_categories=["Cs"]) | st.sampled_from(["\n", " ", "ticket", "<|"]), min_size=1, max_size=12).map(
    "".join
)
ANSWERS = WORDS.map(str.strip).filter(bool)
CHATS = st.tuples(st.none() | WORDS, st.lists(st.tuples(WORDS, ANSWERS), min_size=1, max_size=4))


def as_chat(opening: str | None, exchanges: list[tuple[str, str]]) -> list[Message]:
    turns: list[Message] = [] if opening is None else [{"role": "system", "content": opening}]
    for asked, answer in exchanges:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return turns


@given(CHATS)
def test_before_each_answer_stands_what_generation_sees_there(plain: Any, drawn: tuple[str | None, list[tuple[str, str]]]) -> None:
    chat = as_chat(*drawn)
    encoded = encode_row(plain, row_of(chat))
    ids = [*encoded["prompt_ids"], *encoded["completion_ids"]]
    learns = [*[False] * len(encoded["prompt_ids"]), *encoded["supervised"], False]
    starts, ends = ([at for at, two in enumerate(pairwise(learns), start=1) if two == edge] for edge in ((False, True), (True, False)))
    answers = [at for at, turn in enumerate(chat) if turn["role"] == "assistant"]
    assert len(starts) == len(ends) == len(answers)
    for turn, start, end in zip(answers, starts, ends, strict=True):
        assert ids[:start] == encode_prompt(plain, chat[:turn])
        assert ids[start:end] == encode_text(plain, chat[turn]["content"])
    assert starts[0] == len(encoded["prompt_ids"])
    assert ends[-1] == len(ids)


def test_for_measuring_all_before_the_last_answer_is_prompt(plain: Any) -> None:
    encoded = encode_last_answer(plain, row_of(CHAT))
    assert encoded["prompt_ids"] == encode_prompt(plain, CHAT[:-1])
    assert encoded["completion_ids"] == encode_text(plain, "network")
    assert all(encoded["supervised"])


def test_a_template_that_forgets_earlier_answers_is_refused() -> None:
    with pytest.raises(ModelError, match="changes earlier turns when later ones are added") as caught:
        encode_row(with_template(FORGETS), row_of(CHAT))
    assert caught.value.where == "row r7, turn 3"


def test_a_template_without_the_end_of_turn_token_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be split into a prompt and an answer") as caught:
        encode_row(with_template("{% for m in messages %}{{ m.content }}{% endfor %}"), row_of(CHAT))
    assert caught.value.where == "row r7"


def test_what_a_template_raises_is_an_error_that_names_the_roles_and_no_text() -> None:
    with pytest.raises(ModelError, match="TemplateError: no such role") as caught:
        encode_row(with_template(INSTRUCTIONS), row_of(CHAT))
    assert "system, user, assistant" in caught.value.where
    assert "vpn" not in str(caught.value)


def test_generation_is_expected_to_give_the_call_as_the_template_writes_it(plain: Any) -> None:
    tokenizer = with_template(WRITES_CALLS)
    calling = row_of(CHAT[:5])
    assert expected_answer(tokenizer, calling) == '<tool_call>{"name": "find", "arguments": {"ticket": 7}}</tool_call>'
    assert decode(tokenizer, encode_text(tokenizer, expected_answer(tokenizer, calling))) == expected_answer(tokenizer, calling)
    assert expected_answer(plain, row_of(CHAT)) == "network"


def test_calls_count_as_tokens() -> None:
    tokenizer, silent = with_template(WRITES_CALLS), Message(role="assistant", content="")
    assert count_tokens(tokenizer, CHAT[:5]) > count_tokens(tokenizer, [*CHAT[:4], silent]) + 10


EVERYTHING = {"system turns", "several answers", "tool calls", "several tool calls at once", "tool turns"}


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        (WRITES_CALLS, set()),
        (WRITES_ONE_CALL, {"several tool calls at once"}),
        (FORGETS, {"several answers", "tool calls", "several tool calls at once"}),
        (INSTRUCTIONS, EVERYTHING - {"several answers"}),
    ],
    ids=["knows all", "one call at a time", "forgets answers and calls", "user and assistant only"],
)
def test_what_a_template_cannot_write_is_found_out(template: str, missing: set[str]) -> None:
    assert unrendered(with_template(template)) == missing


def test_the_tiny_template_drops_calls_and_writes_their_results(plain: Any) -> None:
    assert unrendered(plain) == {"tool calls", "several tool calls at once"}


def test_a_template_that_cannot_write_one_question_and_its_answer_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be split"):
        unrendered(with_template("{{ messages[0].content }}"))


def test_what_a_chat_needs() -> None:
    assert features_of(to_messages(None, "a", "b")) == set()
    assert features_of(to_messages("a", "b", "c")) == {"system turns"}
    assert features_of(CHAT) == EVERYTHING - {"several tool calls at once"}
    twice: Message = {"role": "assistant", "content": "", "tool_calls": json.dumps(json.loads(CALLS) * 2)}
    assert features_of([twice]) == {"tool calls", "several tool calls at once"}


def test_control_tokens_are_those_of_the_tokenizer_and_those_around_messages(plain: Any) -> None:
    own = {"<|pad|>", "<|start|>", "<|end|>"}
    assert control_tokens(plain) == own
    assert control_tokens(with_template(WRITES_CALLS)) == {*own, "<tool_call>", "</tool_call>"}
    assert control_tokens(with_template(INSTRUCTIONS)) == {*own, "[INST]", "[/INST]"}


def test_added_tokens_that_only_make_texts_shorter_are_no_control_tokens() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["    ", "helpdesk", "<|fim|>"])
    assert control_tokens(tokenizer) == {"<|pad|>", "<|start|>", "<|end|>", "<|fim|>"}
