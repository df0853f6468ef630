"""Every format of a chat becomes the same canonical chat, and what is none is said without its values."""

import json
from collections.abc import Callable, Mapping
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_config.data import Format
from pipeline_config.errors import DataError
from tasks.data.formats import Chat, Code, Fault, Turn, convert, detect

USER: Turn = {"role": "user", "content": " q "}
ANSWER: Turn = {"role": "assistant", "content": "a"}
CALL = '[{"function": {"name": "f", "arguments": {"x": 1}}}]'


def chat_of(record: Mapping[str, object], format: Format) -> Chat:
    found = convert(record, format)
    assert not isinstance(found, Fault), found
    return found


def fault_of(record: Mapping[str, object], format: Format) -> tuple[str, str]:
    found = convert(record, format)
    assert isinstance(found, Fault), found
    return found.code, found.reason


# Chats


def test_reads_a_chat_of_several_turns_and_leaves_other_keys_out() -> None:
    turns = [{"role": "system", "content": "s"}, USER, ANSWER, USER, {"role": "assistant", "content": " a\n", "weight": 1, "name": None}]
    assert chat_of({"messages": turns, "prompt": "x", "id": 1}, "chat") == [{"role": "system", "content": "s"}, USER, ANSWER, USER, ANSWER]


def test_reads_text_parts_and_turns_as_json_text() -> None:
    parts = [{"type": "text", "text": " q", "index": None}, " "]
    assert chat_of({"messages": [{"role": "user", "content": parts}, ANSWER]}, "chat") == [USER, ANSWER]
    assert chat_of({"messages": json.dumps([USER, ANSWER])}, "chat") == [USER, ANSWER]


@pytest.mark.parametrize("calls", [CALL, json.loads(CALL)])
def test_keeps_tool_calls_as_json_text(calls: object) -> None:
    turns = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        ANSWER,
    ]
    expected = [USER, {"role": "assistant", "content": "", "tool_calls": CALL}, {"role": "tool", "content": "r"}, ANSWER]
    assert chat_of({"messages": turns}, "chat") == expected


@pytest.mark.parametrize("calls", [None, [], "", {}])
def test_empty_tool_calls_are_none(calls: object) -> None:
    assert chat_of({"messages": [USER, {**ANSWER, "tool_calls": calls}]}, "chat") == [USER, ANSWER]


@pytest.mark.parametrize("role", ["gpt", "assistant", "chatgpt", "model", "GPT"])
@pytest.mark.parametrize("human", ["human", "user"])
def test_reads_the_roles_of_sharegpt(role: str, human: str) -> None:
    assert chat_of({"conversations": [{"from": human, "value": " q "}, {"from": role, "value": "a"}]}, "sharegpt") == [USER, ANSWER]


@pytest.mark.parametrize("role", ["tool", "function", "observation"])
def test_a_function_call_of_sharegpt_is_the_assistants(role: str) -> None:
    call = '{"name": "f", "arguments": {}}'
    turns = [("human", " q "), ("function_call", call), (role, "r"), ("gpt", "a")]
    found = chat_of({"conversations": [{"from": name, "value": value} for name, value in turns]}, "sharegpt")
    assert found == [USER, {"role": "assistant", "content": "", "tool_calls": call}, {"role": "tool", "content": "r"}, ANSWER]


def test_sharegpt_may_hold_the_system_turn_beside_the_turns() -> None:
    record: dict[str, object] = {"conversations": [{"from": "human", "value": " q "}, {"from": "gpt", "value": "a"}], "system": "s"}
    assert chat_of(record, "sharegpt") == [{"role": "system", "content": "s"}, USER, ANSWER]
    assert fault_of({**record, "system": 3}, "sharegpt") == ("NOT_TEXT", "system is of type int")


def test_prompt_and_completion_are_texts_or_lists_of_turns() -> None:
    for prompt in (" q ", [USER]):
        for completion in ("\na", [ANSWER]):
            assert chat_of({"prompt": prompt, "completion": completion}, "prompt_completion") == [USER, ANSWER]
    assert chat_of({"prompt": [USER, ANSWER, USER], "completion": [ANSWER]}, "prompt_completion") == [USER, ANSWER, USER, ANSWER]


def test_a_completion_that_is_json_text_stays_text() -> None:
    text = '[{"name": "x"}]'
    assert chat_of({"prompt": " q ", "completion": text}, "prompt_completion") == [USER, {"role": "assistant", "content": text}]


IMAGE = [{"type": "image", "image": "secret"}]


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        (None, ("NO_TURNS", "messages is empty")),
        ([], ("NO_TURNS", "messages is empty")),
        (" ", ("NO_TURNS", "messages is empty")),
        (3, ("NOT_TEXT", "messages is of type int, not a list of turns")),
        ("secret", ("NOT_TEXT", "messages is of type str, not a list of turns")),
        ({"role": "user"}, ("NOT_TEXT", "messages is of type dict, not a list of turns")),
        ([USER, "secret"], ("NOT_TEXT", "turn 2 is of type str")),
        ([{"role": "user", "content": 3}], ("NOT_TEXT", "the text of turn 1 holds a value of type int")),
        ([{"role": "user", "content": "\ud83d"}], ("NOT_TEXT", "the text of turn 1 is not valid Unicode")),
        ([{"role": "user", "content": IMAGE}], ("NOT_TEXT", "the text of turn 1 has a part that is no text")),
        ([USER, {**ANSWER, "tool_calls": "secret"}], ("NOT_TEXT", "the tool calls of turn 2 are not JSON")),
        ([USER, {**ANSWER, "tool_calls": [float("nan")]}], ("NOT_TEXT", "the tool calls of turn 2 are not JSON")),
        ([USER, {**ANSWER, "tool_calls": ["\ud83d"]}], ("NOT_TEXT", "the tool calls of turn 2 are not valid Unicode")),
        ([USER, ANSWER, USER], ("ROLES", "the last turn is of user, not of assistant")),
        ([ANSWER], ("ROLES", "turn 1 is of assistant and follows nothing; expected system or user")),
        ([USER, USER, ANSWER], ("ROLES", "turn 2 is of user and follows user; expected assistant")),
        ([USER, {"role": "system", "content": "s"}], ("ROLES", "turn 2 is of system and follows user; expected assistant")),
        ([{"role": "system", "content": "s"}], ("ROLES", "the last turn is of system, not of assistant")),
        ([USER, {"role": "tool", "content": "r"}, ANSWER], ("ROLES", "turn 2 is of tool and follows user; expected assistant")),
        ([USER, {"role": "assistant", "content": None}], ("EMPTY_TURN", "turn 2 is empty")),
        ([{"role": "user", "content": " \n"}, ANSWER], ("EMPTY_TURN", "turn 1 is empty")),
        ([{"role": "user", "content": []}, ANSWER], ("EMPTY_TURN", "turn 1 is empty")),
        ([USER, {"role": "assistant"}], ("EMPTY_TURN", "turn 2 is empty")),
    ],
)
def test_what_is_wrong_with_turns(turns: object, fault: tuple[str, str]) -> None:
    assert fault_of({"messages": turns}, "chat") == fault


@pytest.mark.parametrize("role", ["secret", None, 3, "", ["user"]])
def test_an_unknown_role_is_not_shown(role: object) -> None:
    code, reason = fault_of({"messages": [USER, {"role": role, "content": "a"}]}, "chat")
    assert code == "UNKNOWN_ROLE"
    assert reason.startswith("the role of turn 2 is none of system, developer, user")
    assert "secret" not in reason


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({"prompt": "q"}, ("NO_TURNS", "completion is empty")),
        ({"completion": "a"}, ("NO_TURNS", "prompt is empty")),
        ({"prompt": "q", "completion": 1}, ("NOT_TEXT", "completion is of type int, not a list of turns")),
        ({"prompt": "q", "completion": " "}, ("EMPTY_TURN", "turn 2 is empty")),
        ({"prompt": "", "completion": "a"}, ("EMPTY_TURN", "turn 1 is empty")),
        ({"prompt": [USER, ANSWER], "completion": "a"}, ("ROLES", "turn 3 is of assistant and follows assistant; expected user or tool")),
    ],
)
def test_what_is_wrong_with_a_prompt_and_its_completion(record: dict[str, object], fault: tuple[str, str]) -> None:
    assert fault_of(record, "prompt_completion") == fault


# Detection


@pytest.mark.parametrize(
    ("records", "format", "why"),
    [
        (
            [{"instruction": "i", "input": "", "output": "a"}],
            "instruction",
            "1 of 1 records looked at have `instruction` and `input` and `output`",
        ),
        ([{"input": "q", "output": "a"}], "instruction", "have `input` and `output`"),
        ([{"messages": [USER, ANSWER], "prompt": "q", "prompt_id": "x"}], "chat", "have `messages`"),
        ([{"messages": "[]"}], "chat", "have `messages`"),
        ([{"conversations": []}, {"id": 1}], "sharegpt", "1 of 2 records looked at have `conversations`"),
        ([{"prompt": "q", "completion": "a"}], "prompt_completion", "have `prompt` and `completion`"),
        ([{"prompt": [USER], "completion": [ANSWER]}], "prompt_completion", "have `prompt` and `completion`"),
        ([{"messages": [], "output": "a", "input": "q"}, {"messages": []}], "chat", "2 of 2"),
    ],
)
def test_tells_the_format_and_why(records: list[dict[str, object]], format: str, why: str) -> None:
    found = detect(records)
    assert found.format == format
    assert why in found.why
    assert "\n" not in found.why


def refusal(records: list[dict[str, object]]) -> str:
    with pytest.raises(DataError) as caught:
        detect(records)
    return str(caught.value)


def test_a_table_that_fits_nothing_is_refused_with_its_columns_and_the_nearest_name() -> None:
    message = refusal([{"id": 1, "mesages": []}, {"text": "x"}])
    assert "id, mesages, text" in message
    assert "column `mesages`: did you mean `messages`?" in message
    assert "data.source.columns" in message
    assert "prompt, completion (prompt_completion)" in message
    assert "there are none" in refusal([])


def test_two_formats_that_fit_equally_are_refused() -> None:
    message = refusal([{"messages": [USER], "prompt": "q", "completion": "a"}])
    assert "two formats fit equally: chat, prompt_completion" in message
    assert "messages, prompt, completion" in message


# Round trips


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
ANSWERS = TEXTS.map(str.strip)


def as_turn(role: str) -> Callable[[str], Turn]:
    return lambda text: {"role": role, "content": text}


@st.composite
def exchanges(draw: st.DrawFn) -> Chat:
    """A question, perhaps calls of tools with their results, and an answer."""
    turns = [draw(TEXTS.map(as_turn("user")))]
    for _ in range(draw(st.integers(0, 2))):
        arguments = st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=2)
        calls = draw(st.lists(st.fixed_dictionaries({"name": TEXTS, "arguments": arguments}), min_size=1, max_size=2))
        turns.append({"role": "assistant", "content": draw(ANSWERS | st.just("")), "tool_calls": json.dumps(calls, ensure_ascii=False)})
        turns.append(draw(TEXTS.map(as_turn("tool"))))
    return [*turns, draw(ANSWERS.map(as_turn("assistant")))]


SYSTEMS = st.lists(TEXTS.map(as_turn("system")), max_size=1)
CHATS = st.tuples(SYSTEMS, st.lists(exchanges(), min_size=1, max_size=3)).map(
    lambda parts: parts[0] + [t for turns in parts[1] for t in turns]
)


@given(chat=CHATS, in_parts=st.booleans(), as_text=st.booleans())
def test_a_chat_written_as_messages_comes_back(chat: Chat, in_parts: bool, as_text: bool) -> None:
    turns: list[dict[str, object]] = [dict(turn) for turn in chat]
    for turn in turns:
        if "tool_calls" in turn:
            turn["tool_calls"] = json.loads(str(turn["tool_calls"]))
        if in_parts:
            turn["content"] = [{"type": "text", "text": turn["content"]}]
    assert chat_of({"messages": json.dumps(turns) if as_text else turns}, "chat") == chat


@given(chat=CHATS, cut=st.integers(1, 3))
def test_a_chat_cut_into_prompt_and_completion_comes_back(chat: Chat, cut: int) -> None:
    assert chat_of({"prompt": chat[:-cut] or chat[:1], "completion": chat[-cut:] if chat[:-cut] else chat[1:]}, "prompt_completion") == chat


@given(chat=CHATS)
def test_a_chat_written_as_sharegpt_comes_back(chat: Chat) -> None:
    names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
    turns: list[dict[str, object]] = []
    for turn in chat:
        if "tool_calls" in turn and not turn["content"]:
            turns.append({"from": "function_call", "value": turn["tool_calls"]})
        else:
            turns.append({"from": names[turn["role"]], "value": turn["content"], "tool_calls": turn.get("tool_calls")})
    assert chat_of({"conversations": turns}, "sharegpt") == chat


# Anything at all

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["user", "assistant", "[]", "\ud83d"])
)
COLUMNS = ["instruction", "input", "output", "messages", "prompt", "completion", "conversations", "system"]
KEYS = st.sampled_from([*COLUMNS, "role", "content", "from", "value", "type", "text", "tool_calls"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=2), inner, max_size=4))


@settings(max_examples=2 * settings().max_examples)
@given(record=st.dictionaries(KEYS, JSON), format=st.sampled_from(["chat", "sharegpt", "prompt_completion"]))
def test_any_json_is_a_sound_chat_or_a_fault(record: dict[str, object], format: Format) -> None:
    found = convert(record, format)
    if isinstance(found, Fault):
        assert found.code in get_args(Code)
        return
    assert found[-1]["role"] == "assistant"
    for turn in found:
        assert turn["content"].encode().strip() or json.loads(turn["tool_calls"])


def test_deep_nesting_is_a_fault_everywhere() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    cases: list[tuple[dict[str, object], Format]] = [
        ({"messages": deep}, "chat"),
        ({"messages": "[" * 100_000}, "chat"),
        ({"messages": [{"role": "user", "content": deep}]}, "chat"),
        ({"messages": [USER, {**ANSWER, "tool_calls": deep}]}, "chat"),
        ({"messages": [USER, {**ANSWER, "tool_calls": "[" * 100_000}]}, "chat"),
    ]
    for record, format in cases:
        assert fault_of(record, format)[0] == "NOT_TEXT"
