"""The training process of one run of the overfitting benchmark: `python -m benchmarks.overfit_one REQUEST`.

It is the training child of every run, with an observer in it: at each checkpoint it measures rows that nobody trains on or chooses by, and
on the checkpoint that ships what an evaluation would. Standard input has to stay open: its end tells the child to stop.
"""

import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from benchmarks.overfit_runs import TRUTH
from benchmarks.train_clock import install
from tasks.batching import BLOCKS, to_device
from tasks.chat import EncodedRow, encode_row
from tasks.files import read_json, write_json
from tasks.models import load_tokenizer
from tasks.rows import read_rows
from tasks.train.events import TrainingRequest
from tasks.train.precision import forward_precision

MEASURED = "measured.json"
"""In the run's folder: what the observer saw."""

_ROWS_PER_BATCH = 32
_SEEN_ROWS = 64
"""Training rows that the shipped checkpoint is measured on."""


class Rows(TypedDict):
    """One checkpoint on some rows, in their order: nats of the whole answer, its tokens, and whether greedy decoding would write it."""

    nats: list[float]
    tokens: list[int]
    right: list[bool]


class Measured(TypedDict):
    """`truth` by the step of the checkpoint; `shipped` by side, on the checkpoint that ships."""

    truth: dict[str, Rows]
    shipped: dict[str, Rows]


class Observer(TrainerCallback):
    """Measures, and writes down what it has measured so far."""

    def __init__(self, request: TrainingRequest) -> None:
        self._request, self._tokenizer = request, load_tokenizer(request.model, request.workspace)
        self._measured: Measured = {"truth": {}, "shipped": {}}

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The truth at this checkpoint."""
        self._measured["truth"][str(state.global_step)] = self._measure(given["model"], Path(TRUTH).stem)
        self._write()

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Called when the best weights are back in their place, if those ship."""
        for side in ("train", "validation", "test"):
            self._measured["shipped"][side] = self._measure(given["model"], side)
        self._write()

    def _measure(self, model: Any, side: str) -> Rows:
        rows = [encode_row(self._tokenizer, row) for row in read_rows(self._request.data_folder / f"{side}.parquet")]
        model.eval()
        with forward_precision(model, self._request.model.dtype)():
            return measure_rows(model, rows[:_SEEN_ROWS] if side == "train" else rows, self._tokenizer.pad_token_id or 0)

    def _write(self) -> None:
        write_json(self._request.folder / MEASURED, self._measured)


@torch.no_grad()
def measure_rows(model: Any, rows: Sequence[EncodedRow], pad_id: int) -> Rows:
    """Losses without dropout. An answer is right if each of its tokens is the likeliest after those before it."""
    found: Rows = {"nats": [], "tokens": [], "right": []}
    for start in range(0, len(rows), _ROWS_PER_BATCH):
        chosen = rows[start : start + _ROWS_PER_BATCH]
        batch = to_device(BLOCKS.collate(chosen, pad_id), model.device)
        logits, targets = BLOCKS.logits(model, batch).float(), batch["labels"][0]
        nats, hits = cross_entropy(logits, targets, reduction="none"), logits.argmax(dim=-1) == targets
        for begin, end in pairwise(accumulate((sum(row["supervised"]) for row in chosen), initial=0)):
            found["nats"].append(round(nats[begin:end].sum().item(), 5))
            found["tokens"].append(end - begin)
            found["right"].append(bool(hits[begin:end].all()))
    return found


def main() -> int:
    """Trains as the request file says; returns the training child's exit code."""
    from tasks.train import child

    install(Observer(TrainingRequest.model_validate(read_json(Path(sys.argv[1])))))
    return child.main()


if __name__ == "__main__":
    sys.exit(main())
