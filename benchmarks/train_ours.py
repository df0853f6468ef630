"""We as a contender: `python -m benchmarks.train_ours JOB`. The training child of every run, with a clock in it.

Standard input has to stay open: its end tells the child to stop.
"""

import json
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from benchmarks.results import versions_of
from benchmarks.train_clock import install, start_clock
from benchmarks.train_job import (
    ALONE,
    ALPHA,
    DROPOUT,
    EPOCHS,
    INSTRUCTION,
    LEARNING_RATE,
    MAX_GRAD_NORM,
    RANK,
    ROWS_PER_STEP,
    SCHEDULER,
    WARMUP,
    WEIGHT_DECAY,
    Job,
    read_job,
)
from pipeline_config.environment import read_machine
from pipeline_config.methods import LoraSettings
from pipeline_config.model import ModelConfig
from pipeline_config.training import TrainingConfig
from tasks.files import write_atomically
from tasks.methods.settings import settle
from tasks.revision import code_revision
from tasks.train.events import TrainingRequest


class HidePrefix(TrainerCallback):
    """Makes all but a row's first token part of what follows the prompt, without loss: the same tokens, and no prefix that rows share."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Changes the rows where they lie."""
        for row in given["train_dataloader"].dataset:
            hidden = row["prompt_ids"][1:]
            row["prompt_ids"] = row["prompt_ids"][:1]
            row["completion_ids"] = [*hidden, *row["completion_ids"]]
            row["supervised"] = [*([False] * len(hidden)), *row["supervised"]]


def request_of(job: Job) -> TrainingRequest:
    """What a run would ask of its training child. One validation at the end, and no choice among checkpoints, as for the peers."""
    training = TrainingConfig(
        method="lora", lora=LoraSettings(r=RANK, lora_alpha=ALPHA, lora_dropout=DROPOUT, target_modules="attention"), epochs=EPOCHS,
        learning_rate=LEARNING_RATE, per_device_train_batch_size=ROWS_PER_STEP, warmup_steps=WARMUP, lr_scheduler_type=SCHEDULER,
        weight_decay=WEIGHT_DECAY, max_grad_norm=MAX_GRAD_NORM, evals_per_epoch=1, early_stopping_patience=None,
        load_best_model_at_end=False, seed=job.seed,
    )  # fmt: skip
    return TrainingRequest(
        workspace=read_machine().workspace, folder=Path(job.folder), data_folder=Path(job.rows), data_digest="", instruction=INSTRUCTION,
        labels=None, max_new_tokens=16, code_revision=code_revision(), model=ModelConfig(dtype="bfloat16"),
        training=settle(training).training,
    )  # fmt: skip


def train(job: Job) -> int:
    """Trains, and writes a line of JSON (:class:`benchmarks.train_job.Training`) behind the child's events; returns its exit code."""
    from tasks.train import child

    if job.contender == ALONE:
        install(HidePrefix())
    clock = start_clock()
    request, events = Path(job.folder) / "request.json", sys.stdout
    write_atomically(request, request_of(job).model_dump_json().encode())
    sys.argv = ["tasks.train.child", str(request)]
    code = child.main()
    if not code:
        training = clock.training(Path(job.folder) / "artifact", versions_of("torch", "transformers", "peft"))
        events.write(json.dumps(training) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(train(read_job(sys.argv[1])))
