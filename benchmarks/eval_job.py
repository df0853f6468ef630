"""What a contender of the evaluation benchmark is told, and what it answers.

Standard library only: a peer reads this in an environment of its own.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

OURS, PIPELINE = "tunegate", "transformers pipeline"
PIPELINE_BATCH = 8
WARM_UP = 16
"""Prompts that are answered before the clock starts, by everybody."""

LONGEST = 512
"""Tokens that a prompt and its answer may have; Banking77's have far fewer."""


@dataclass(frozen=True)
class Job:
    """Prompts to be answered by a tuned model.

    `version` is the folder of the adapter as tunegate stores it, `merged` the same model as a plain one in bf16; `prompts` is a file that
    :func:`read_prompts` reads; an answer has at most `limit` tokens. `folder` is one that the contender may fill.
    """

    contender: str
    version: str
    merged: str
    prompts: str
    limit: int
    folder: str

    def write(self, path: Path) -> None:
        """Stores the job for :func:`read_job`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


class Prompt(TypedDict):
    """A chat that ends with the user's turn, its tokens up to the header of the answer, and the right answer."""

    messages: list[dict[str, str]]
    ids: list[int]
    expected: str


class Answering(TypedDict):
    """How it went: a line of JSON on standard output, the last one. `seconds` from the prompts to the last answer's text."""

    seconds: float
    answers: list[str]
    version: str


def read_job(path: str) -> Job:
    """Reads what :meth:`Job.write` wrote."""
    return Job(**json.loads(Path(path).read_text(encoding="utf-8")))


def read_prompts(job: Job) -> list[Prompt]:
    """The prompts, in the order in which they are asked."""
    prompts: list[Prompt] = json.loads(Path(job.prompts).read_text(encoding="utf-8"))
    return prompts
