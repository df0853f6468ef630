"""Tool calls of every way of writing become OpenAI's; what is none is refused without being quoted."""

import json

import pytest

from pipeline_config.errors import DataError
from tasks.tool_calls import parse_tool_calls

CALL = {"type": "function", "function": {"name": "find", "arguments": {"id": 7, "deep": {"a": [1]}}}}


@pytest.mark.parametrize(
    "written",
    [
        [CALL],
        CALL,
        CALL["function"],
        [CALL["function"]],
        [{"function": {"name": "find", "arguments": '{"id": 7, "deep": {"a": [1]}}'}}],
    ],
    ids=["OpenAI's", "without a list", "ShareGPT's", "ShareGPT's in a list", "arguments as text"],
)
def test_every_way_of_writing_is_read_alike(written: object) -> None:
    assert parse_tool_calls(json.dumps(written)) == [CALL]


def test_reading_what_was_read_changes_nothing() -> None:
    once = parse_tool_calls(json.dumps([{**CALL, "id": "call_1"}, {"name": "now"}]))
    assert (
        parse_tool_calls(json.dumps(once))
        == once
        == [{"id": "call_1", **CALL}, {"type": "function", "function": {"name": "now", "arguments": {}}}]
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("secret", "they are not JSON"),
        ("[]", "the list is empty"),
        ('["secret"]', "a call has no name"),
        ('{"function": "secret"}', "a call has no name"),
        ('{"arguments": {}}', "a call has no name"),
        ('{"name": "f", "arguments": "secret"}', "the arguments of a call are not JSON"),
        ('{"name": "f", "arguments": ["secret"]}', "the arguments of a call are no object"),
    ],
)
def test_anything_else_is_refused_and_not_quoted(text: str, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        parse_tool_calls(text)
    assert "secret" not in str(caught.value)
