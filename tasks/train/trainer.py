"""`transformers.Trainer` with the speed path, losses that are weighted by tokens, and nothing hidden."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from pipeline_config.training import SettledTraining, TrainingConfig
from tasks.artifacts import CurvePoint
from tasks.batching import Layout, mean_loss, summed_loss, to_device
from tasks.chat import EncodedRow
from tasks.methods.settings import trainer_fields
from tasks.train import checkpoints
from tasks.train.events import Note, Step, Validated, emit
from tasks.train.faults import has_finite_gradient, spoiled
from tasks.train.sampling import EpochOrder, OrderedSampler
from tasks.train.steps import steps_per_epoch

_WEIGHTS = "trained.safetensors"
"""In a checkpoint: the trainable weights, as they are."""


class CompletionTrainer(Trainer):
    """Loss on the tokens of answers only, laid out by a :class:`tasks.batching.Layout`.

    Which method puts weights on the model is nothing to it: checkpoints hold the trainable weights and nothing else.

    Args:
        precision: the context of each forward pass, see `tasks.train.precision`.
        order: of the rows; null for Trainer's own.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self, *, layout: Layout, pad_id: int, precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
        order: EpochOrder | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.layout, self.pad_id, self.precision, self.order = layout, pad_id, precision, order
        self._rows_of_step: list[str] = []
        self._tokens_since_log = [0, 0]
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
        self._rows_of_step += row_ids
        own_targets = inputs["labels"].numel()
        self._tokens_since_log[0] += inputs.pop("row_tokens")
        self._tokens_since_log[1] += own_targets
        loss: torch.Tensor
        with self.precision():
            loss = summed_loss(self.layout, model, inputs) / (own_targets if num_items_in_batch is None else num_items_in_batch)
        if not torch.isfinite(loss):
            what = f"the loss is {loss.item()} at step {self.state.global_step + 1}"
            raise spoiled(what, self._rows(row_ids), self._has_finite_loss)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation loss in nats per supervised token. Trainer's own would be a mean of batch means."""
        started = time.monotonic()
        self.model.eval()
        rows: Sequence[EncodedRow] = self.eval_dataset
        with self.precision():
            loss = mean_loss(self.layout, self.model, rows, rows_per_batch=self.args.per_device_eval_batch_size, pad_id=self.pad_id)
        if not math.isfinite(loss):
            raise spoiled(f"the validation loss is {loss} at step {self.state.global_step}", rows, self._has_finite_loss)
        metrics = {"eval_loss": loss, "eval_seconds": time.monotonic() - started}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds to a step's entry the tokens of its rows and those that carried loss: the log is in every checkpoint, so sums of it hold."""
        if "loss" in logs:
            logs["tokens"], logs["supervised_tokens"] = self._tokens_since_log
            self._tokens_since_log = [0, 0]
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the trainable weights, in their own precision. Trainer's own would write the frozen base into every checkpoint."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: weights.detach().contiguous() for name, weights in self._trainable()}, folder / _WEIGHTS)

    def take_up_if_ended(self, checkpoint: Path) -> bool:
        """Whether early stopping had ended training at this checkpoint. Then the best weights are loaded, and there is nothing left to do.

        Trainer itself would forget that it was to stop, and train up to the next validation.
        """
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        stopping = state.stateful_callbacks.get(EarlyStoppingCallback.__name__)
        if not stopping or stopping["attributes"]["early_stopping_patience_counter"] < stopping["args"]["early_stopping_patience"]:
            return False
        self.state = state
        self._load_best_model()
        return True

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.order is None:
            return super()._get_train_sampler(train_dataset)
        rows = len(self.train_dataset)
        length = steps_per_epoch(rows, self.args)
        return OrderedSampler(self.order, rows, lambda: self.state.global_step // length)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        stored = load_file(Path(resume_from_checkpoint) / _WEIGHTS)
        with torch.no_grad():
            for name, weights in self._trainable():
                weights.copy_(stored[name])

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _trainable(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, weights) for name, weights in self.model.named_parameters() if weights.requires_grad]

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Looks at the gradient's norm between backward pass and optimizer; the weights are still sound then.

        Raises:
            TrainingError: it is not finite. Clipping would turn such a gradient into zeros or NaN.
        """
        norm = super()._get_grad_norm(model, grad_norm)
        # With fp16 an overflow is how the loss scaler finds its scale; it leaves such a step out.
        if self.accelerator.scaler is None and not math.isfinite(norm):
            self.model.zero_grad()
            what = f"the gradient's norm is {float(norm)} at step {self.state.global_step + 1}"
            raise spoiled(what, self._rows(self._rows_of_step), self._has_finite_gradient)
        self._rows_of_step = []
        return norm

    def _rows(self, row_ids: Sequence[str]) -> list[EncodedRow]:
        wanted = set(row_ids)
        return [row for row in self.train_dataset if row["row_id"] in wanted]

    def _loss_of(self, row: EncodedRow) -> torch.Tensor:
        """One row's mean loss, without dropout, so that chance has no part in it."""
        self.model.eval()
        batch = to_device(self.layout.collate([row], self.pad_id), self.args.device)
        with self.precision():
            loss = summed_loss(self.layout, self.model, batch)
        return loss / int(batch["labels"].numel())

    @torch.no_grad()
    def _has_finite_loss(self, row: EncodedRow) -> bool:
        return math.isfinite(self._loss_of(row).item())

    def _has_finite_gradient(self, row: EncodedRow) -> bool:
        return has_finite_gradient(self._loss_of(row), [weights for _, weights in self._trainable()])

    def _collate(self, rows: list[EncodedRow]) -> dict[str, Any]:
        tokens = sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows)
        return {**self.layout.collate(rows, self.pad_id), "row_ids": [row["row_id"] for row in rows], "row_tokens": tokens}


class Reporter(TrainerCallback):
    """Tells the parent what happens."""

    def __init__(self, memory: Callable[[], int]) -> None:
        self._memory = memory
        self._seconds, self._step_started = 0.0, 0.0
        self._steps = self._tokens = 0

    def on_step_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Times the step alone, so that validation does not count as training."""
        self._step_started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Stops the step's clock."""
        self._seconds += time.monotonic() - self._step_started
        self._steps += 1

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Reports one step."""
        if "loss" not in logs:
            return
        self._tokens += int(logs["tokens"])
        emit(
            Step(
                step=state.global_step, steps=state.max_steps, epoch=state.epoch, loss=logs["loss"], learning_rate=logs["learning_rate"],
                grad_norm=_finite(logs.get("grad_norm")), tokens_per_second=self.tokens_per_second() or 0.0,
                seconds_left=(state.max_steps - state.global_step) * self._seconds / self._steps, memory_bytes=self._memory(),
            )
        )  # fmt: skip

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Reports the newest point of the curve."""
        emit(Validated(point=curve_of(state.log_history)[-1]))

    def tokens_per_second(self) -> float | None:
        """Tokens of the rows trained on by this process, each row's prompt counted in full, over the seconds spent in steps."""
        return self._tokens / self._seconds if self._seconds else None


def _finite(value: float | None) -> float | None:
    """Null for the gradient of a step that a loss scaler leaves out: an event cannot hold infinity."""
    return value if value is not None and math.isfinite(value) else None


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


def tokens_of(log_history: Sequence[dict[str, float]]) -> tuple[int, int]:
    """Tokens of all rows that were trained on, prompts counted in full, and how many of them carried loss; over every process of a run."""
    steps = [entry for entry in log_history if "tokens" in entry]
    return sum(int(entry["tokens"]) for entry in steps), sum(int(entry["supervised_tokens"]) for entry in steps)


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


def trainer_arguments(training: SettledTraining, folder: Path, rows: int, optimizer: str) -> TrainingArguments:
    """Trainer's arguments; what it would hide (NaN losses) or send somewhere (reports, hub) is off.

    Fields that were given under Trainer's own names go in as they are. Of those that are set here, only the last ones can be given, and
    two of these are seen to elsewhere: the optimizer by :func:`tasks.train.optimizers.choose_optimizer`, kernels by `tasks.train.liger`.
    """
    every = math.ceil(steps_per_epoch(rows, training) / training.evals_per_epoch)
    arguments = TrainingArguments(
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
            "optim": optimizer,
            "use_liger_kernel": False,
        },
    )
    if arguments.n_gpu > 1:
        # Trainer would cut a batch into as many pieces, and a packed one is a single sequence.
        emit(Note(text=f"training uses one of the {arguments.n_gpu} GPUs"))
        arguments._n_gpu = 1
    return arguments


def stopping_callbacks(training: TrainingConfig) -> list[TrainerCallback]:
    """Early stopping, where it is wanted and possible."""
    if training.early_stopping_patience is None:
        return []
    if not training.load_best_model_at_end:
        emit(Note(text="early stopping needs load_best_model_at_end: it is off, so training runs all its epochs"))
        return []
    return [EarlyStoppingCallback(early_stopping_patience=training.early_stopping_patience)]
