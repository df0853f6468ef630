"""The sample of dialogues that comes with the project is fit to train on, and keeps to its own style."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from tasks.data.formats import Chat, Fault, convert
from tasks.data.refusals import find_refusals
from tasks.nearness.near import near_pairs
from tasks.screening import find_sensitive

SAMPLE = Path(__file__).parents[3] / "pipeline_config/samples/helpdesk_replies.jsonl"
QUEUES = (
    "identity and access", "email and calendar", "network and VPN", "laptops and hardware", "printing and scanning", "file storage",
    "telephony and meetings", "software and licences", "ERP and finance", "HR and payroll", "data and reporting", "security", "unsorted",
    "outside IT",
)  # fmt: skip
STATUSES = ("waiting for you", "waiting for approval", "with us", "solved")
ANSWER = re.compile(rf"[^\n]+\.\n(?:\d\. [^\n]+\n){{1,3}}Next: [^\n]+\.\nTicket: (?:{'|'.join(QUEUES)}), (?:{'|'.join(STATUSES)})\.")


@pytest.fixture(scope="module")
def records() -> list[dict[str, object]]:
    return [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def dialogues(records: list[dict[str, object]]) -> list[Chat]:
    chats = [convert(record, "chat") for record in records]
    return [chat for chat in chats if not isinstance(chat, Fault)]


def test_every_line_is_a_chat_and_there_are_enough(records: list[dict[str, object]], dialogues: list[Chat]) -> None:
    assert len(dialogues) == len(records) >= 240


def test_every_chat_opens_with_the_same_instruction(dialogues: list[Chat]) -> None:
    assert {chat[0]["role"] for chat in dialogues} == {"system"}
    assert len({chat[0]["content"] for chat in dialogues}) == 1


def test_a_quarter_have_several_turns_and_none_more_than_eight(dialogues: list[Chat]) -> None:
    turns = [len(chat) - 1 for chat in dialogues]
    assert set(turns) <= {2, 4, 6, 8}
    assert sum(count > 2 for count in turns) >= max(80, len(turns) / 4)


def test_no_two_share_their_first_request(dialogues: list[Chat]) -> None:
    requests = [" ".join(chat[1]["content"].casefold().split()) for chat in dialogues]
    assert len(set(requests)) == len(requests)


def test_no_two_answers_are_the_same(dialogues: list[Chat]) -> None:
    answers = _said_by("assistant", dialogues)
    assert answers.n_unique() == len(answers)


def test_no_two_dialogues_nearly_repeat_each_other(dialogues: list[Chat]) -> None:
    whole = pl.Series(["\n".join(turn["content"] for turn in chat[1:]) for chat in dialogues])
    assert near_pairs(whole, jaccard=0.4).is_empty()


def test_nothing_in_it_is_personal_data_or_a_secret(dialogues: list[Chat]) -> None:
    for role in ("system", "user", "assistant"):
        assert find_sensitive(_said_by(role, dialogues)).is_empty()


def test_where_the_desk_declines_it_does_not_sound_like_a_model_that_refuses(dialogues: list[Chat]) -> None:
    answers = _said_by("assistant", dialogues)
    assert find_refusals(pl.DataFrame({"row_id": [str(number) for number in range(len(answers))], "output": answers})).is_empty()


def test_every_answer_keeps_to_the_house_style(dialogues: list[Chat]) -> None:
    answers = _said_by("assistant", dialogues).to_list()
    assert [answer for answer in answers if not ANSWER.fullmatch(answer)] == []
    assert [answer for answer in answers if not 25 <= len(answer.split()) <= 70] == []


def test_every_queue_is_asked_of(dialogues: list[Chat]) -> None:
    text = "\n".join(_said_by("assistant", dialogues))
    assert all(text.count(f"Ticket: {queue},") >= 15 for queue in QUEUES[:12])


def _said_by(role: str, dialogues: list[Chat]) -> pl.Series:
    return pl.Series([turn["content"] for chat in dialogues for turn in chat if turn["role"] == role])
