"""TRL as a contender: `python -m benchmarks.train_trl JOB`, in TRL's own environment (`make peers`)."""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.train_job import (
    ALPHA,
    DROPOUT,
    EPOCHS,
    LEARNING_RATE,
    MAX_GRAD_NORM,
    RANK,
    ROWS_PER_STEP,
    SCHEDULER,
    TARGETS,
    WARMUP,
    WEIGHT_DECAY,
    Job,
    read_job,
    read_peer_rows,
)

_BF16_WEIGHTS = {"model_init_kwargs": {"dtype": "bfloat16"}, "gradient_checkpointing": False, "padding_free": True}

SETTINGS: dict[str, dict[str, Any]] = {
    "trl padded": {},
    "trl padded, no checkpointing": {"gradient_checkpointing": False},
    "trl packed": {**_BF16_WEIGHTS},
    "trl packed, no autocast": {**_BF16_WEIGHTS, "bf16": False},
}
"""What differs from SFTConfig's own defaults, which are fp32 weights under bf16 autocast, with gradient checkpointing."""


def train(job: Job) -> None:
    """Trains, saves the adapter to the job's folder, and writes a line of JSON (:class:`benchmarks.train_job.Training`)."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]  # in its own environment only

    from benchmarks.train_clock import start_clock

    clock = start_clock()
    options = {
        "per_device_train_batch_size": ROWS_PER_STEP, "num_train_epochs": EPOCHS, "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": SCHEDULER, "warmup_steps": WARMUP, "weight_decay": WEIGHT_DECAY, "max_grad_norm": MAX_GRAD_NORM,
        "seed": job.seed, "data_seed": job.seed, "max_length": None, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "use_cpu": True,
    }  # fmt: skip
    trainer = SFTTrainer(
        model=job.base,
        args=SFTConfig(output_dir=job.folder, **options, **SETTINGS[job.contender]),
        train_dataset=Dataset.from_list(read_peer_rows(job)),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, lora_dropout=DROPOUT, target_modules=list(TARGETS)
        ),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(job.folder)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("trl", "torch", "transformers", "peft"))
    sys.stdout.write(json.dumps(clock.training(Path(job.folder), versions)) + "\n")


if __name__ == "__main__":
    train(read_job(sys.argv[1]))
