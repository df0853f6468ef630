"""What a contender of the training benchmark is told, and what it answers.

Standard library only: the peers read this in environments of their own.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

OURS, ALONE = "tunegate", "tunegate, no shared prefix"

INSTRUCTION = "Classify the bank customer's message into one of 77 intents. Answer with the intent name only."
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
RANK, ALPHA, DROPOUT = 16, 32, 0.0
"""Without dropout: on a shared prefix all rows share one mask, so with it no two contenders would train alike."""

ROWS_PER_STEP = 8
EPOCHS = 1
LEARNING_RATE, SCHEDULER, WARMUP, WEIGHT_DECAY, MAX_GRAD_NORM = 2e-4, "cosine", 0.03, 0.01, 1.0

PEER_ROWS, TRAIN_ROWS, HELDOUT_ROWS = "rows.json", "train.parquet", "heldout.parquet"
"""The same rows: as rendered texts for the peers, as chats for us; and those that no contender trains on."""


@dataclass(frozen=True)
class Job:
    """One training.

    `base` is the folder of the base model, `rows` the folder with the rows, `folder` one that the contender may fill. A packed sequence of
    `capacity` tokens holds `ROWS_PER_STEP` rows on average.
    """

    contender: str
    base: str
    rows: str
    folder: str
    seed: int
    capacity: int

    def write(self, path: Path) -> None:
        """Stores the job for :func:`read_job`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


class Training(TypedDict):
    """How a training went: a line of JSON on standard output, the last one.

    `seconds` from the start of the first optimizer step to the end of the last one; `peak_bytes` of resident memory of the process up to
    then; `supervised_tokens` as the contender's own data set has them; `rules` are Trainer's arguments that all have to share.
    """

    seconds: float
    steps: int
    peak_bytes: int
    supervised_tokens: int
    prefix_tokens: int
    trainable_dtype: str
    rules: dict[str, Any]
    adapter: str
    version: str


def read_job(path: str) -> Job:
    """Reads what :meth:`Job.write` wrote."""
    return Job(**json.loads(Path(path).read_text(encoding="utf-8")))


def read_peer_rows(job: Job) -> list[dict[str, str]]:
    """`prompt` and `completion` of each row, as texts that become exactly the tokens that we train on."""
    rows: list[dict[str, str]] = json.loads((Path(job.rows) / PEER_ROWS).read_text(encoding="utf-8"))
    return rows
