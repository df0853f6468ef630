"""The general suite: short questions with answers to choose from, written for this project (docs/reference/retention.md)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from tasks.artifacts import Record
from tasks.files import sha256_json
from tasks.rows import Message, spread_evenly

Category = Literal["knowledge", "instructions", "safety"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

_FOLDER = Path(__file__).parent / "suite"


class Question(Record):
    """What is asked in one user turn, and answers of which one is right.

    `stem` is how each answer begins. It stands before the choices in the assistant's turn, so that they differ in little else than what is
    asked for.
    """

    id: str
    category: Category
    topic: str
    question: str
    stem: str = ""
    right: str
    wrong: tuple[str, ...]

    @property
    def prompt(self) -> list[Message]:
        """The chat that is put to a model: without a system turn, as to a model in general use."""
        return [{"role": "user", "content": self.question}]

    @property
    def choices(self) -> tuple[str, ...]:
        """All answers, the right one first. A model sees none of them, so their order tells it nothing."""
        return (self.right, *self.wrong)


def read_suite() -> list[Question]:
    """All questions, by category and topic."""
    return [
        Question(category=category, **json.loads(line))
        for category in CATEGORIES
        for line in (_FOLDER / f"{category}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def choose_questions(questions: Sequence[Question], count: int | None) -> list[Question]:
    """`count` of the questions, at equal distances, so that every category and topic keeps its share; null: all."""
    return list(questions) if count is None else [questions[index] for index in spread_evenly(count, len(questions))]


def suite_digest(questions: Sequence[Question]) -> str:
    """SHA-256 of everything that is asked, in its order."""
    return sha256_json([question.model_dump(mode="json") for question in questions])
