"""LLaMA-Factory as a contender: `python -m benchmarks.train_llamafactory JOB`, in its own environment (`make peers`)."""

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

SETTINGS: dict[str, dict[str, Any]] = {
    "llama-factory padded": {"per_device_train_batch_size": ROWS_PER_STEP},
    "llama-factory packed": {"per_device_train_batch_size": 1, "neat_packing": True},
}
"""What differs between the two. Both: bf16 weights under bf16 autocast, without gradient checkpointing."""

_DATASET = "rows"


def train(job: Job) -> None:
    """Trains, saves the adapter to the job's folder, and writes a line of JSON (:class:`benchmarks.train_job.Training`)."""
    from llamafactory.train.tuner import run_exp  # type: ignore[import-not-found]  # in its own environment only

    from benchmarks.train_clock import start_clock

    clock = start_clock()
    data, adapter = Path(job.folder) / "data", Path(job.folder) / "adapter"
    write_dataset(job, data)
    run_exp(arguments(job, data, adapter))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("llamafactory", "torch", "transformers", "peft"))
    sys.stdout.write("\n" + json.dumps(clock.training(adapter, versions)) + "\n")


def arguments(job: Job, data: Path, adapter: Path) -> dict[str, Any]:
    """Its arguments, as a YAML file for its command line would hold them.

    The template adds nothing, because the rows are rendered already. `cutoff_len` is the length of a packed sequence, one token less.
    """
    return {
        "stage": "sft", "do_train": True, "model_name_or_path": job.base, "finetuning_type": "lora", "template": "empty",
        "dataset_dir": str(data), "dataset": _DATASET, "output_dir": str(adapter), "cutoff_len": job.capacity + 1,
        "lora_rank": RANK, "lora_alpha": ALPHA, "lora_dropout": DROPOUT, "lora_target": ",".join(TARGETS),
        "num_train_epochs": EPOCHS, "learning_rate": LEARNING_RATE, "lr_scheduler_type": SCHEDULER, "warmup_steps": WARMUP,
        "weight_decay": WEIGHT_DECAY, "max_grad_norm": MAX_GRAD_NORM, "seed": job.seed, "data_seed": job.seed, "bf16": True,
        "disable_gradient_checkpointing": True, "use_cpu": True, "save_strategy": "no", "report_to": "none", "logging_steps": 10,
        "disable_tqdm": True, **SETTINGS[job.contender],
    }  # fmt: skip


def write_dataset(job: Job, folder: Path) -> None:
    """The rows as its documentation wants a data set of one's own: a file, and a description of its columns."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.json").write_text(json.dumps(read_peer_rows(job)), encoding="utf-8")
    described = {_DATASET: {"file_name": "rows.json", "columns": {"prompt": "prompt", "response": "completion"}}}
    (folder / "dataset_info.json").write_text(json.dumps(described), encoding="utf-8")


if __name__ == "__main__":
    train(read_job(sys.argv[1]))
