"""The runs of the overfitting benchmark, and their rows: ten kinds, eighteen of each, drawn by fixed seeds.

The first thirteen of a kind are for finding thresholds, the other five for reporting: nobody looks at these before the thresholds are
frozen. The first eight have few validation rows, whose curve scatters most; all others have as many as a real run, but where a small set is
what the kind is about.
"""

import csv
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.train_job import INSTRUCTION
from pipeline_config.errors import DataError
from pipeline_config.loading import PRESETS
from pipeline_config.training import SettledTraining, TrainingConfig
from tasks.files import sha256_json
from tasks.methods.settings import settle
from tasks.rows import Row, answer_of, messages_digest, to_messages, write_rows

CALIBRATION, REPORT = 13, 5
"""Runs of each kind."""

TEST_ROWS, TRUTH_ROWS = 96, 128
"""Rows that the verdict is told of, and rows that only the truth is measured on."""

SCARCE = 8
"""Runs of each kind that have a few dozen validation rows at most."""

VALIDATION_ROWS = (64, 96, 128)
"""Of the others; the demo has 132."""

TRUTH = "truth.parquet"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        source: `banking77` or `helpdesk`; `labels` of it are drawn.
        rows: training rows; `validation_rows` besides.
        noise: share of rows on every side whose label is another one.
        leak: share of validation rows that are training rows.
        load_best: ships the checkpoint with the lowest validation loss, not the last one.
    """

    kind: str
    number: int
    source: str
    labels: int
    rows: int
    validation_rows: int
    method: str
    learning_rate: float
    epochs: int
    evals_per_epoch: int
    load_best: bool
    patience: int | None = None
    noise: float = 0.0
    leak: float = 0.0
    dropout: float = 0.0
    scheduler: str = "cosine"

    @property
    def name(self) -> str:
        """Kind and number, and the digest of all that the run's result depends on."""
        return f"{self.kind}-{self.number}-{sha256_json({**asdict(self), 'test': TEST_ROWS, 'truth': TRUTH_ROWS})[:8]}"

    @property
    def calibrates(self) -> bool:
        """Whether thresholds may be found on it; all others are reported on."""
        return self.number < CALIBRATION

    def training(self) -> SettledTraining:
        """The settings as the training child takes them."""
        section = {"lora": "lora_dropout", "adapter": "dropout"}.get(self.method)
        values: dict[str, Any] = {
            "method": self.method, "learning_rate": self.learning_rate, "epochs": self.epochs, "evals_per_epoch": self.evals_per_epoch,
            "early_stopping_patience": self.patience, "load_best_model_at_end": self.load_best, "seed": 100 + self.number,
            "lr_scheduler_type": self.scheduler,
            **({self.method: {section: self.dropout}} if section else {}),
        }  # fmt: skip
        return settle(TrainingConfig.model_validate(values)).training


def _well_fitted(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([120, 160, 200]), "validation_rows": chance.choice([32, 48]), "epochs": chance.choice([2, 3]),
        "learning_rate": chance.choice([5e-4, 1e-3]), "evals_per_epoch": 2, "load_best": True, "patience": 3,
    }  # fmt: skip


def _under_trained(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([64, 96, 128]), "validation_rows": chance.choice([24, 32]), "epochs": chance.choice([1, 2]),
        "learning_rate": chance.choice([2e-5, 5e-5, 1e-4]), "evals_per_epoch": 3, "load_best": chance.random() < 0.5,
    }  # fmt: skip


def _stopped_early(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([48, 64, 96]), "validation_rows": chance.choice([32, 48]), "epochs": chance.choice([8, 10]),
        "learning_rate": chance.choice([1e-3, 2e-3]), "evals_per_epoch": 1, "load_best": True, "patience": chance.choice([2, 3]),
        "noise": chance.choice([0.0, 0.1]), "dropout": chance.choice([0.0, 0.1]),
    }  # fmt: skip


def _a_little_long(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([64, 96, 128]), "validation_rows": chance.choice([32, 48]), "epochs": chance.choice([3, 4, 5]),
        "learning_rate": chance.choice([5e-4, 1e-3]), "evals_per_epoch": 2, "load_best": False,
    }  # fmt: skip


def _far_too_long(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([40, 56, 64]), "validation_rows": chance.choice([32, 48]), "epochs": chance.choice([8, 10]),
        "learning_rate": chance.choice([1e-3, 2e-3]), "evals_per_epoch": 1, "load_best": False, "noise": chance.choice([0.1, 0.2, 0.3]),
        "scheduler": "constant",
    }  # fmt: skip


def _wrong_labels(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([40, 56]), "validation_rows": chance.choice([32, 48]), "epochs": chance.choice([7, 9]),
        "learning_rate": chance.choice([1e-3, 2e-3]), "evals_per_epoch": 1, "load_best": False, "noise": chance.choice([0.3, 0.4, 0.5]),
        "scheduler": "constant",
    }  # fmt: skip


def _all_weights(chance: random.Random) -> dict[str, Any]:
    short: dict[str, Any] = {"epochs": 3, "learning_rate": chance.choice([5e-5, 1e-4]), "noise": 0.0}
    long: dict[str, Any] = {"epochs": 7, "learning_rate": chance.choice([1e-4, 2e-4]), "noise": 0.4}
    return {
        "method": "full", "rows": chance.choice([48, 64]), "validation_rows": chance.choice([24, 32]), "evals_per_epoch": 1,
        "load_best": chance.random() < 0.3, "scheduler": "constant", **chance.choice([short, long]),
    }  # fmt: skip


def _few_rows_best(chance: random.Random) -> dict[str, Any]:
    return {
        "method": chance.choice(["lora", "adapter"]), "rows": chance.choice([16, 24, 40]), "validation_rows": chance.choice([12, 16, 24]),
        "epochs": chance.choice([5, 7, 9]), "learning_rate": chance.choice([5e-4, 1e-3, 2e-3]), "evals_per_epoch": 1, "load_best": True,
        "patience": chance.choice([None, 3]), "noise": chance.choice([0.0, 0.15]),
    }  # fmt: skip


def _few_rows_last(chance: random.Random) -> dict[str, Any]:
    fate: dict[str, Any] = chance.choice([{"epochs": 3, "noise": 0.0}, {"epochs": 10, "noise": 0.35, "scheduler": "constant"}])
    return {**_few_rows_best(chance), "load_best": False, "patience": None, **fate}


def _leaky(chance: random.Random) -> dict[str, Any]:
    return {
        "rows": chance.choice([40, 56]), "validation_rows": chance.choice([24, 32, 40]), "epochs": 9, "learning_rate": 2e-3,
        "evals_per_epoch": 1, "load_best": True, "noise": chance.choice([0.3, 0.4]), "leak": chance.choice([0.9, 1.0]),
        "scheduler": "constant",
    }  # fmt: skip


KINDS: Mapping[str, Callable[[random.Random], dict[str, Any]]] = {
    "well-fitted": _well_fitted,
    "under-trained": _under_trained,
    "stopped-early": _stopped_early,
    "a-little-long": _a_little_long,
    "far-too-long": _far_too_long,
    "wrong-labels": _wrong_labels,
    "all-weights": _all_weights,
    "few-rows-best": _few_rows_best,
    "few-rows-last": _few_rows_last,
    "leaky-validation": _leaky,
}


SMALL = ("few-rows-best", "few-rows-last", "leaky-validation")
"""Kinds whose validation sets stay small: few rows are their point, or training rows to leak are few."""


def plan() -> list[Run]:
    """All runs; first those of every kind that calibrate."""
    drawn = [_draw(kind, number) for number in range(CALIBRATION + REPORT) for kind in KINDS]
    return sorted(drawn, key=lambda run: not run.calibrates)


def _draw(kind: str, number: int) -> Run:
    chance = random.Random(f"{kind} {number}")
    source, labels = chance.choice([("banking77", 10), ("banking77", 20), ("helpdesk", 6), ("helpdesk", 12)])
    drawn = {"kind": kind, "number": number, "source": source, "labels": labels, "method": "lora", **KINDS[kind](chance)}
    if number >= SCARCE and kind not in SMALL:
        drawn["validation_rows"] = chance.choice(VALIDATION_ROWS)
    return Run(**drawn)


def write_data(run: Run, banking: Path, folder: Path) -> str | None:
    """Writes the rows of a run: `train`, `validation`, `test` and the truth's, as Parquet; returns their common instruction.

    Raises:
        DataError: there are too few rows.
    """
    chance = random.Random(f"rows of {run.name}")
    pool = _pool(run, banking, chance)
    sizes = {"train": run.rows, "validation": run.validation_rows, "test": TEST_ROWS, "truth": TRUTH_ROWS}
    if sum(sizes.values()) > len(pool):
        raise DataError(f"{len(pool)} rows of {run.labels} labels", where=run.source, expected=f"at least {sum(sizes.values())}")
    sides: dict[str, list[Row]] = {}
    for side, size in sizes.items():
        sides[side], pool = pool[:size], pool[size:]
    leaked = round(run.leak * run.validation_rows)
    sides["validation"][:leaked] = chance.sample(sides["train"], min(leaked, run.rows))
    folder.mkdir(parents=True, exist_ok=True)
    for side, rows in sides.items():
        write_rows(folder / f"{side}.parquet", rows)
    return sides["train"][0]["messages"][0]["content"]


def _pool(run: Run, banking: Path, chance: random.Random) -> list[Row]:
    rows = _banking_rows(banking) if run.source == "banking77" else _helpdesk_rows()
    chosen = chance.sample(sorted({answer_of(row) for row in rows}), run.labels)
    kept = list({row["digest"]: row for row in rows if answer_of(row) in chosen}.values())
    chance.shuffle(kept)
    return [_mislabelled(row, chosen, chance) if chance.random() < run.noise else row for row in kept]


def _mislabelled(row: Row, labels: list[str], chance: random.Random) -> Row:
    other = chance.choice([label for label in labels if label != answer_of(row)])
    return _row([turn["content"] for turn in row["messages"][:-1]], other)


def _banking_rows(folder: Path) -> list[Row]:
    rows = []
    for name in ("train.csv", "test.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as stream:
            rows += [_row([INSTRUCTION, record["text"]], record["category"]) for record in csv.DictReader(stream)]
    return rows


def _helpdesk_rows() -> list[Row]:
    lines = (PRESETS.parent / "samples" / "helpdesk_routing.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [_row([record["instruction"], record["input"]], record["output"]) for record in records]


def _row(asked: list[str], answer: str) -> Row:
    messages = to_messages(asked[0], asked[1], answer)
    digest = messages_digest(messages)
    return {"row_id": digest[:12], "digest": digest, "group": digest, "messages": messages}
