"""Trainings that end after so many steps, whatever the number of rows."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.training import TrainingConfig
from tasks.methods.settings import settle
from tasks.train.steps import ending_after, steps_per_epoch


def training(**values: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(values)


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "steps"), [(64, 8, 1, 8), (65, 8, 1, 9), (65, 8, 4, 3), (1, 8, 4, 1), (4096, 16, 1, 256)]
)
def test_an_epoch_has_as_many_steps_as_its_batches_make(rows: int, batch: int, accumulation: int, steps: int) -> None:
    settled = settle(training(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)).training
    assert steps_per_epoch(rows, settled) == steps


@given(steps=st.integers(1, 100_000), rows=st.integers(1, 1_000_000), batch=st.integers(1, 64))
def test_the_epochs_round_up_to_exactly_these_steps(steps: int, rows: int, batch: int) -> None:
    ending = ending_after(training(per_device_train_batch_size=batch), steps, rows)
    assert math.ceil(ending.epochs * steps_per_epoch(rows, ending)) == steps


def test_nothing_else_looks_at_validation_rows_and_nothing_else_changes() -> None:
    told = training(method="adapter", seed=5, early_stopping_patience=2, adapter={"epochs": 7, "learning_rate": 3e-3})
    ending = ending_after(told, 10, 80)
    assert (ending.early_stopping_patience, ending.load_best_model_at_end) == (None, False)
    changed = {"epochs", "early_stopping_patience", "load_best_model_at_end"}
    assert ending.model_dump(exclude=changed) == settle(told).training.model_dump(exclude=changed)


def test_an_older_name_for_epochs_does_not_win() -> None:
    ending = ending_after(training(num_train_epochs=3), 10, 80)
    assert settle(ending).training.epochs == pytest.approx(0.95)
