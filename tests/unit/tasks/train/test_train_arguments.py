"""What reaches Trainer."""

from pathlib import Path
from typing import Any

import pytest

from pipeline_config.trainer_names import TRAINER
from pipeline_config.training import TrainingConfig
from tasks.methods.settings import settle
from tasks.train.trainer import trainer_arguments

NEEDS_MORE = {"torch_compile", "tf32"}
"""Switches that this machine may not have."""


def arguments(folder: Path, **training: Any) -> Any:
    return trainer_arguments(settle(TrainingConfig.model_validate(training)).training, folder, 100, "adamw_torch")


def test_every_field_that_passes_can_be_given_with_its_default(tmp_path: Path) -> None:
    passing = TRAINER.known().keys() - TRAINER.refused.keys() - TRAINER.older.keys() - TrainingConfig.model_fields.keys() - NEEDS_MORE
    given = {name: TRAINER.known()[name]["default"] for name in sorted(passing)}
    made = arguments(tmp_path, **given)
    assert len(given) >= 25
    assert (made.adam_beta2, made.data_seed, made.per_device_eval_batch_size) == (0.999, None, 8)


def test_given_fields_reach_trainer(tmp_path: Path) -> None:
    made = arguments(tmp_path, adam_beta2=0.95, data_seed=3, per_device_eval_batch_size=2, warmup_ratio=0.1)
    assert (made.adam_beta2, made.data_seed, made.per_device_eval_batch_size, made.warmup_steps) == (0.95, 3, 2, 0.1)


def test_unless_they_are_given_the_seed_and_the_batch_size_decide(tmp_path: Path) -> None:
    made = arguments(tmp_path, seed=5, per_device_train_batch_size=3)
    assert (made.data_seed, made.per_device_eval_batch_size, made.dataloader_pin_memory) == (5, 12, False)


@pytest.mark.parametrize(
    ("name", "value"), sorted((name, value) for name, value in TRAINER.held.items() if name not in ("max_steps", "do_train", "do_eval"))
)
def test_what_is_said_to_hold_anyway_does(name: str, value: Any, tmp_path: Path) -> None:
    held = getattr(arguments(tmp_path), name)
    assert held == value or (held, value) == ([], "none")


def test_liger_is_never_put_in_by_trainer_whose_switch_brings_a_loss_of_its_own(tmp_path: Path) -> None:
    assert not arguments(tmp_path, use_liger_kernel=True).use_liger_kernel
