"""A stamp says who was logged in, and only the server can write one."""

import json

import pytest

from tasks.registry.stamps import Stamp, read_stamp, signed

STAMP = Stamp(user="anna", did="approved", at="2026-11-25T12:00:00+00:00", model_name="routing", version=2, artifact_digest="a" * 64)
KEY = "a key that server and workers share"


def test_a_stamp_is_read_back_as_it_was_signed() -> None:
    assert read_stamp(signed(STAMP, KEY), KEY, "routing", 2) == STAMP


@pytest.mark.parametrize(
    "changes", [{"user": "rita"}, {"did": "rejected"}, {"at": ""}, {"artifact_digest": "b" * 64}, {"signature": "0" * 64}, {"more": 1}]
)
def test_a_stamp_that_was_changed_is_no_stamp(changes: dict[str, str]) -> None:
    assert read_stamp(json.dumps(json.loads(signed(STAMP, KEY)) | changes), KEY, "routing", 2) is None


@pytest.mark.parametrize(("model", "version"), [("routing", 3), ("intents", 2)])
def test_a_stamp_of_another_version_is_no_stamp(model: str, version: int) -> None:
    assert read_stamp(signed(STAMP, KEY), KEY, model, version) is None


@pytest.mark.parametrize("text", [None, "", "anna", "{}", "[1]"])
def test_what_is_no_stamp_is_none(text: str | None) -> None:
    assert read_stamp(text, KEY, "routing", 2) is None


def test_without_the_key_or_with_another_one_nothing_is_believed() -> None:
    text = signed(STAMP, KEY)
    assert [read_stamp(text, key, "routing", 2) for key in (None, "", "another")] == [None] * 3
