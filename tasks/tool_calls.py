"""What an assistant calls tools with: JSON text in a row, a list of objects for templates and for OpenAI's API."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline_config.errors import DataError


def parse_tool_calls(text: str) -> list[dict[str, Any]]:
    """Tool calls in OpenAI's form, as templates take them, with arguments as an object.

    Args:
        text: JSON of one call or a list of calls: `{"type": "function", "function": {"name", "arguments"}}`, or `{"name", "arguments"}`
            alone. Arguments are an object, or JSON text of one.

    Raises:
        DataError: it is something else.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_calls("they are not JSON") from None
    calls = found if isinstance(found, list) else [found]
    if not calls:
        raise _no_calls("the list is empty")
    return [_parse_call(call) for call in calls]


def _parse_call(call: object) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise _no_calls("a call has no name")
    arguments = _parse_arguments(function.get("arguments"))
    known = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {**known, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _parse_arguments(arguments: object) -> dict[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            raise _no_calls("the arguments of a call are not JSON") from None
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise _no_calls("the arguments of a call are no object")
    return arguments


def _no_calls(why: str) -> DataError:
    return DataError(f"tool calls cannot be read: {why}", expected='a list of {"type": "function", "function": {"name", "arguments"}}')
