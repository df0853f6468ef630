"""Which turns of a chat are reworded: requests, instructions, answers, and what stays as it is."""

from pathlib import Path

import pytest

from pipeline_config.errors import ConfigError
from tasks.augment.accept import KNOWN, LOST, NEW
from tasks.rows import Message, Row, messages_digest
from tests.builders import make_row
from tests.fakes import FakeOperator
from tests.unit.tasks.augment import augment_builders as build

TRAIN = build.rows_of(build.ROWS)


def test_in_chats_only_the_users_turns_change(tmp_path: Path) -> None:
    chat: list[Message] = [
        {"role": "system", "content": "Help with devices"}, {"role": "user", "content": build.ROWS[0]},
        {"role": "assistant", "content": "Which one is it", "tool_calls": '[{"name": "find"}]'},
        {"role": "tool", "content": "It is the big one"},
        {"role": "user", "content": build.ROWS[7]}, {"role": "assistant", "content": "It was switched off"},
    ]  # fmt: skip
    row: Row = {"row_id": "chat", "digest": messages_digest(chat), "group": "chat", "messages": chat}
    operator = FakeOperator("synonym", build.politely)
    config = build.settings(synonym={"ratio": 1})
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", [row], labelled=False), [operator], config)
    _, child = build.train_in(augmented)
    changed = [place for place, (one, two) in enumerate(zip(chat, child["messages"], strict=True)) if one != two]
    assert changed == [1, 4]
    assert {request.text for request in operator.asked} == {build.ROWS[0], build.ROWS[7]}


def test_answers_are_reworded_if_that_is_asked_for_but_no_calls_and_no_json(tmp_path: Path) -> None:
    chat: list[Message] = [
        {"role": "user", "content": build.ROWS[0]}, {"role": "assistant", "content": "Which one", "tool_calls": '[{"name": "find"}]'},
        {"role": "tool", "content": "It is the big one"}, {"role": "assistant", "content": '{"which": "the big one"}'},
        {"role": "user", "content": build.ROWS[7]}, {"role": "assistant", "content": build.ROWS[12]},
    ]  # fmt: skip
    row: Row = {"row_id": "chat", "digest": messages_digest(chat), "group": "chat", "messages": chat}
    prepared = build.prepared_in(tmp_path / "prepared", [row], labelled=False)
    config = build.settings(synonym={"ratio": 1, "parts": ["request", "answer"]})
    _, child = build.train_in(build.augment(tmp_path, prepared, [FakeOperator("synonym", build.politely)], config))
    assert [place for place, (one, two) in enumerate(zip(chat, child["messages"], strict=True)) if one != two] == [0, 4, 5]


def test_another_answer_to_the_same_request_is_no_row(tmp_path: Path) -> None:
    row = make_row(build.ROWS[0], build.ROWS[12])
    operator = FakeOperator("synonym", lambda request: None if request.text == build.ROWS[0] else build.politely(request))
    config = build.settings(synonym={"ratio": 1, "parts": ["request", "answer"]})
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", [row], labelled=False), [operator], config)
    assert build.rejected_in(augmented).keys() == {KNOWN}


def test_a_reworded_answer_is_judged_as_a_request_is(tmp_path: Path) -> None:
    row = make_row(build.ROWS[0], "Ask for ticket 4711")
    operator = FakeOperator("synonym", lambda asked: build.politely(asked) if asked.text == build.ROWS[0] else "Ask for ticket 4712")
    config = build.settings(synonym={"ratio": 1, "parts": ["request", "answer"]})
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", [row], labelled=False), [operator], config)
    assert build.rejected_in(augmented).keys() == {LOST}


def test_answers_that_are_labels_are_never_reworded(tmp_path: Path) -> None:
    config = build.settings(synonym={"parts": ["request", "answer"]})
    with pytest.raises(ConfigError, match=r"augmentation\.synonym\.parts"):
        build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", build.politely)], config)


def test_a_turn_for_which_there_is_no_other_wording_stays(tmp_path: Path) -> None:
    chat: list[Message] = [
        {"role": "user", "content": "Yes"}, {"role": "assistant", "content": "Good"}, {"role": "user", "content": build.ROWS[7]},
        {"role": "assistant", "content": "It was switched off"},
    ]  # fmt: skip
    row: Row = {"row_id": "chat", "digest": messages_digest(chat), "group": "chat", "messages": chat}
    operator = FakeOperator("synonym", lambda request: None if request.text == "Yes" else build.politely(request))
    prepared = build.prepared_in(tmp_path / "prepared", [row], labelled=False)
    _, child = build.train_in(build.augment(tmp_path, prepared, [operator], build.settings(synonym={"ratio": 1})))
    assert child["messages"][0] == chat[0]
    assert child["messages"][2] != chat[2]


def test_an_instruction_is_reworded_if_that_is_asked_for_and_many_rows_share_few_wordings(tmp_path: Path) -> None:
    config = build.settings(synonym={"ratio": 1, "parts": ["instruction"]})
    operator = FakeOperator("synonym", lambda request: f"{request.text} As number {request.seed % 1000}.")
    config = config.model_copy(update={"accept": config.accept.model_copy(update={"max_length_ratio": 3.0})})
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [operator], config)
    assert augmented.augmentation is not None
    assert build.rejected_in(augmented) == {NEW: augmented.augmentation.operators[0].asked}

    operator = FakeOperator("synonym", build.politely, version="another")
    augmented = build.augment(tmp_path / "second", build.prepared_in(tmp_path / "prepared", TRAIN), [operator], config)
    made = set(build.children_in(augmented)["row_id"])
    told = [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in build.train_in(augmented) if row["row_id"] in made]
    assert len({instruction for instruction, _ in told}) > 3
    assert {text for _, text in told} <= set(build.ROWS)
    assert len(operator.asked) <= 16
