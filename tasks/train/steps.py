"""How many optimizer steps rows take, and a training that ends after a given number of them."""

import math
from typing import TYPE_CHECKING

from pipeline_config.training import SettledTraining, TrainingConfig
from tasks.methods.settings import settle

if TYPE_CHECKING:
    from transformers import TrainingArguments


def steps_per_epoch(rows: int, arguments: "TrainingArguments | SettledTraining") -> int:
    """Optimizer steps of one pass over the rows; the last one may have fewer of them."""
    batches = math.ceil(rows / arguments.per_device_train_batch_size)
    return math.ceil(batches / arguments.gradient_accumulation_steps)


def ending_after(training: TrainingConfig, steps: int, rows: int) -> SettledTraining:
    """The same training with another end: it takes so many steps however many rows there are, and ships what it has then.

    Early stopping and the choice among checkpoints are off. Both look at validation rows, and such trainings are compared on these.

    Args:
        rows: all rows that are trained on: it depends on them how many epochs the steps are.
    """
    settled = settle(training).training
    # Trainer rounds up to whole steps. Half a step less, and no rounding of the division can make it one more.
    epochs = (steps - 0.5) / steps_per_epoch(rows, settled)
    return settled.model_copy(update={"epochs": epochs, "early_stopping_patience": None, "load_best_model_at_end": False})
