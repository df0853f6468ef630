"""Which texts of a row are reworded, with which seeds, and the row with other texts in their places."""

import hashlib
import json
from collections.abc import Collection, Mapping

from pipeline_config.augmentation import Part
from tasks.augment.operators import Request
from tasks.files import sha256_json
from tasks.rows import Message, Row

WORDINGS = 16
"""Of one instruction, at most, from each operator: rows share it, and draw one of them."""


def requests_of(row: Row, parts: Collection[Part], number: int, seed: int) -> dict[int, Request]:
    """What an operator is asked for one child, by the turn that it is for.

    A text's seed depends on the text and the number of the child, and on nothing else of the row: the same text is reworded once, whatever
    row it stands in.

    Args:
        number: of the child among those of this row and operator, from 1.
        seed: the run's.
    """
    turns = row["messages"]
    texts = {place: turn["content"] for place, turn in enumerate(turns) if _part_of(place, turn) in parts and turn["content"].strip()}
    drawn = 1 + _hash(f"{row['row_id']} {number}") % WORDINGS
    numbers = {place: drawn if turns[place]["role"] == "system" else number for place in texts}
    return {place: _request(text, seed_of(seed, text, numbers[place])) for place, text in texts.items()}


def seed_of(seed: int, text: str, number: int) -> int:
    """A seed in [0, 2^63) for the how manieth rewording of a text."""
    return _hash(f"{seed} {number} {text}")


def reworded(messages: list[Message], texts: Mapping[int, str]) -> list[Message]:
    """The chat with other texts in the places of some turns."""
    return [{**turn, "content": texts[place]} if place in texts else turn for place, turn in enumerate(messages)]


def compared_text(messages: list[Message]) -> str:
    """What rows were divided by: all that stands before the last answer, without the instruction unless there is nothing else."""
    *asked, _ = messages
    said = asked[1:] if len(asked) > 1 and asked[0]["role"] == "system" else asked
    return "\n".join("\n".join(filter(None, [turn["content"], turn.get("tool_calls")])) for turn in said)


def _part_of(place: int, turn: Message) -> Part | None:
    if turn["role"] == "user":
        return "request"
    if turn["role"] == "assistant":
        return None if turn.get("tool_calls") or _is_document(turn["content"]) else "answer"
    return "instruction" if place == 0 and turn["role"] == "system" else None


def _is_document(text: str) -> bool:
    """Whether a text is JSON that a program reads: in other words it would be another answer."""
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _request(text: str, seed: int) -> Request:
    return Request(key=sha256_json([text, seed]), text=text, seed=seed)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
