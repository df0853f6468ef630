"""One clock for all contenders: all of them are subclasses of `transformers.Trainer`, so the same callback times them.

Needs transformers only: the peers import this in environments of their own.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, trainer

from benchmarks.train_job import Training

IGNORED = -100
_RULES = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "optim", "adam_beta1", "adam_beta2",
    "adam_epsilon", "num_train_epochs", "gradient_accumulation_steps", "seed",
)  # fmt: skip


class Clock(TrainerCallback):
    """Times the training loop from its first optimizer step to the end of its last one. Validation and saving come behind that."""

    def __init__(self) -> None:
        self.steps, self.peak_bytes = 0, 0
        self._first, self._last = 0.0, 0.0
        self._counted = (0, 0)
        self._dtype, self._rules = "", dict[str, Any]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Notes what is trained on, and by which rules."""
        rows = given["train_dataloader"].dataset
        self._counted = (count_supervised(rows), shared_tokens(rows))
        self._dtype = ", ".join(sorted({str(weights.dtype) for weights in given["model"].parameters() if weights.requires_grad}))
        self._rules = {name: _plain(getattr(args, name)) for name in _RULES}

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock, once."""
        self._first = self._first or time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Reads the clock."""
        self._last, self.steps, self.peak_bytes = time.perf_counter(), state.global_step, peak_resident()

    def training(self, adapter: Path, version: str) -> Training:
        """What was seen."""
        supervised, prefix = self._counted
        return {
            "seconds": self._last - self._first, "steps": self.steps, "peak_bytes": self.peak_bytes, "supervised_tokens": supervised,
            "prefix_tokens": prefix, "trainable_dtype": self._dtype, "rules": self._rules, "adapter": str(adapter), "version": version,
        }  # fmt: skip


def install(callback: TrainerCallback) -> None:
    """Gives a callback to every Trainer that this process makes, whoever makes it."""
    trainer.DEFAULT_CALLBACKS.append(callback)


def start_clock() -> Clock:
    """A clock for the training that this process is about to do."""
    clock = Clock()
    install(clock)
    return clock


def peak_resident() -> int:
    """Bytes: the most that this program has had in memory. `ru_maxrss` would begin with what the parent process had."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kib) * 1024


def count_supervised(rows: Iterable[Mapping[str, Any]]) -> int:
    """Tokens that carry loss, in our rows or in a peer's."""
    return sum(sum(row["supervised"]) if "supervised" in row else sum(label != IGNORED for label in row["labels"]) for row in rows)


def shared_tokens(rows: Sequence[Mapping[str, Any]]) -> int:
    """Tokens that our trainer may compute once for all rows; a peer has none."""
    prompts = [row["prompt_ids"][:-1] for row in rows if "prompt_ids" in row]
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False)))


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)
