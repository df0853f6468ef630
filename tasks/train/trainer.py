"""`transformers.Trainer` with the speed path, losses that are weighted by tokens, and nothing hidden."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from pipeline_config.errors import TrainingError
from pipeline_config.training import SettledTraining, TrainingConfig
from tasks.artifacts import CurvePoint
from tasks.batching import Layout, mean_loss, summed_loss
from tasks.chat import EncodedRow
from tasks.methods.settings import trainer_fields
from tasks.train import checkpoints
from tasks.train.events import Note, Step, Validated, emit


class CompletionTrainer(Trainer):
    """Loss on the tokens of answers only, laid out by a :class:`tasks.batching.Layout`."""

    loss_is_scaled_for_ga = True

    def __init__(self, *, layout: Layout, pad_id: int, **options: Any) -> None:
        self.layout, self.pad_id = layout, pad_id
        super().__init__(data_collator=self._collate, **options)
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Mean loss over the targets of the whole optimizer step, however many micro-batches it has.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        row_ids = inputs.pop("row_ids")
        targets = inputs["labels"].numel() if num_items_in_batch is None else num_items_in_batch
        loss = summed_loss(self.layout, model, inputs) / targets
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}", where=f"rows {', '.join(row_ids[:8])}",
                expected="a finite number", hint="lower training.learning_rate, or look at these rows",
            )  # fmt: skip
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation loss in nats per supervised token. Trainer's own would be a mean of batch means."""
        started = time.monotonic()
        self.model.eval()
        rows: Sequence[EncodedRow] = self.eval_dataset
        loss = mean_loss(self.layout, self.model, rows, rows_per_batch=self.args.per_device_eval_batch_size, pad_id=self.pad_id)
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is {loss}", where=f"step {self.state.global_step}", expected="a finite number")
        metrics = {"eval_loss": loss, "eval_seconds": time.monotonic() - started}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _collate(self, rows: list[EncodedRow]) -> dict[str, Any]:
        return {**self.layout.collate(rows, self.pad_id), "row_ids": [row["row_id"] for row in rows]}


class Reporter(TrainerCallback):
    """Tells the parent what happens."""

    def __init__(self, tokens_per_epoch: int, memory: Callable[[], int]) -> None:
        self._tokens_per_epoch, self._memory = tokens_per_epoch, memory
        self._training_seconds, self._step_started, self._first_epoch = 0.0, 0.0, 0.0

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock; a resumed run begins in the middle."""
        self._first_epoch = state.epoch or 0.0

    def on_step_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Times the step alone, so that validation does not count as training."""
        self._step_started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Stops the step's clock."""
        self._training_seconds += time.monotonic() - self._step_started

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Reports one step."""
        if "loss" not in logs:
            return
        share = (state.epoch - self._first_epoch) / args.num_train_epochs
        left = self._training_seconds / share * (1 - state.epoch / args.num_train_epochs) if share > 0 else 0.0
        emit(
            Step(
                step=state.global_step, steps=state.max_steps, epoch=state.epoch, loss=logs["loss"], learning_rate=logs["learning_rate"],
                grad_norm=logs.get("grad_norm"), tokens_per_second=self.tokens_per_second(state) or 0.0, seconds_left=left,
                memory_bytes=self._memory(),
            )
        )  # fmt: skip

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Reports the newest point of the curve."""
        emit(Validated(point=curve_of(state.log_history)[-1]))

    def tokens_per_second(self, state: Any) -> float | None:
        """Tokens of the rows trained on by this process, each row's prompt counted in full, over the seconds spent in steps."""
        if not self._training_seconds:
            return None
        return ((state.epoch or 0.0) - self._first_epoch) * self._tokens_per_epoch / self._training_seconds


def curve_of(log_history: Sequence[dict[str, float]]) -> list[CurvePoint]:
    """One point for each validation pass; its training loss is the mean of the steps since the pass before.

    Trainer keeps its log in every checkpoint, so a resumed run has the whole curve.
    """
    curve: list[CurvePoint] = []
    losses: list[float] = []
    for entry in log_history:
        if "loss" in entry:
            losses.append(entry["loss"])
        elif "eval_loss" in entry:
            mean = sum(losses) / len(losses) if losses else None
            step, epoch = int(entry["step"]), float(entry.get("epoch") or 0.0)
            curve.append(CurvePoint(step=step, epoch=epoch, train_loss=mean, validation_loss=entry["eval_loss"]))
            losses = []
    return curve


class StopOnRequest(TrainerCallback):
    """Ends training after the current step, with a checkpoint, once the parent asked for it."""

    def __init__(self, requested: Callable[[], bool]) -> None:
        self._requested = requested
        self.stopped = False

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Looks at the request once a step."""
        if self._requested() and state.global_step < state.max_steps:
            self.stopped = control.should_training_stop = control.should_save = True
            control.should_evaluate = False


class SealCheckpoints(TrainerCallback):
    """Writes each checkpoint's manifest, last."""

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Called after everything of the checkpoint is on disk."""
        checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def trainer_arguments(training: SettledTraining, folder: Path, rows: int) -> TrainingArguments:
    """Trainer's arguments; what it would hide (NaN losses) or send somewhere (reports, hub) is off.

    Fields that were given under Trainer's own names go in as they are. Of those that are set here, only the last three can be given.
    """
    steps_per_epoch = math.ceil(rows / (training.per_device_train_batch_size * training.gradient_accumulation_steps))
    every = math.ceil(steps_per_epoch / training.evals_per_epoch)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        per_device_train_batch_size=training.per_device_train_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        warmup_steps=training.warmup_steps,
        lr_scheduler_type=training.lr_scheduler_type,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=training.load_best_model_at_end,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        report_to="none",
        push_to_hub=False,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        **{
            "per_device_eval_batch_size": 4 * training.per_device_train_batch_size,
            "data_seed": training.seed,
            "dataloader_pin_memory": False,
            **trainer_fields(training),
        },
    )


def stopping_callbacks(training: TrainingConfig) -> list[TrainerCallback]:
    """Early stopping, where it is wanted and possible."""
    if training.early_stopping_patience is None:
        return []
    if not training.load_best_model_at_end:
        emit(Note(text="early stopping needs load_best_model_at_end: it is off, so training runs all its epochs"))
        return []
    return [EarlyStoppingCallback(early_stopping_patience=training.early_stopping_patience)]
