"""What a run trains with: the configuration, then the method's section, then the method's default; and what is said about it."""

from typing import Any

import pytest

from pipeline_config.errors import ConfigError
from pipeline_config.loading import load_config
from pipeline_config.training import METHOD_NAMES, SettledTraining, TrainingConfig
from tasks.methods.defaults import Defaults
from tasks.methods.settings import Settled, read_settings, settle, settle_with, trainer_fields

DEFAULTS = Defaults(learning_rate=3e-3, usual_rates=(1e-3, 1e-2), why="it is so", epochs=5)


def settled(**training: Any) -> Settled:
    return settle_with(TrainingConfig.model_validate(training), DEFAULTS)


@pytest.mark.parametrize("method", [*METHOD_NAMES, "package.module:NAME"])
def test_null_is_the_methods_default(method: str) -> None:
    result = settled(method=method)
    assert result.filled == {
        "learning_rate": 3e-3, "epochs": 5, "warmup_steps": 0.03, "lr_scheduler_type": "cosine", "weight_decay": 0.01, "max_grad_norm": 1.0,
    }  # fmt: skip
    assert result.notes == ()


def test_a_methods_own_section_comes_before_its_default_and_after_what_holds_for_all() -> None:
    own = {"lora": {"learning_rate": 4e-3, "epochs": 2}}
    assert settled(**own).training.learning_rate == 4e-3
    assert settled(**own).training.epochs == 2
    assert settled(**own, learning_rate=5e-3, epochs=0).training.learning_rate == 5e-3
    assert settled(**own, learning_rate=5e-3, epochs=0).training.epochs == 0


@pytest.mark.parametrize("preset", ["demo", "smoke"])
@pytest.mark.parametrize("method", [name for name in METHOD_NAMES if name != "lora"])
def test_a_switched_method_never_gets_the_rate_of_another(preset: str, method: str) -> None:
    training = load_config(preset, None, [f"training.method={method}"]).training
    result = settle_with(training, DEFAULTS).training
    assert result.learning_rate == (getattr(training, method).learning_rate or DEFAULTS.learning_rate)


@pytest.mark.parametrize(("preset", "rate", "epochs"), [("demo", 1e-3, 2), ("smoke", 2e-3, 2)])
def test_presets_train_lora_with_the_rates_that_were_found_for_them(preset: str, rate: float, epochs: float) -> None:
    training = settle(load_config(preset).training).training
    assert (training.learning_rate, training.epochs, training.lora.lora_dropout) == (rate, epochs, 0.0)


def test_settling_twice_changes_nothing() -> None:
    once = settled(warmup_ratio=0.1, adam_beta2=0.95, lora={"learning_rate": 4e-3, "preset": "simple"}).training
    assert settle_with(once, DEFAULTS).training == once
    assert SettledTraining.model_validate_json(once.model_dump_json()) == once


def test_settings_that_the_method_does_not_read_are_no_reason_to_train_again() -> None:
    assert settled(method="lora", ia3={"learning_rate": 1.0}, prompt={"num_virtual_tokens": 5}) == settled(method="lora")
    assert settled(method="qlora", lora={"r": 4}).training != settled(method="qlora").training
    assert settled(method="package.module:NAME", lora={"r": 4}).training != settled(method="package.module:NAME").training


def test_older_names_end_up_under_todays_and_that_is_noted() -> None:
    result = settled(warmup_ratio=0.1, num_train_epochs=4, group_by_length=True, fp16=True, per_gpu_train_batch_size=2)
    training = result.training
    assert (training.warmup_steps, training.epochs, training.per_device_train_batch_size) == (0.1, 4, 2)
    assert trainer_fields(training) == {"train_sampling_strategy": "group_by_length"}
    assert [note.split()[0].rstrip(":") for note in result.notes] == [
        f"training.{name}" for name in ("warmup_ratio", "num_train_epochs", "group_by_length", "fp16", "per_gpu_train_batch_size")
    ]


def test_what_holds_anyway_is_not_handed_to_trainer() -> None:
    assert trainer_fields(settled(push_to_hub=False, report_to="none", adam_beta1=0.8).training) == {"adam_beta1": 0.8}


@pytest.mark.parametrize(
    ("training", "key", "low", "high"),
    [
        ({"learning_rate": 5e-4}, "learning_rate", "0.001", "0.01"),
        ({"learning_rate": 2.0}, "learning_rate", "0.001", "0.01"),
        ({"warmup_steps": 0.5}, "warmup_steps", "0", "0.2"),
        ({"epochs": 100}, "epochs", "0.5", "20"),
        ({"weight_decay": 1}, "weight_decay", "0", "0.1"),
        ({"max_grad_norm": 1000}, "max_grad_norm", "0.1", "10"),
        ({"lora": {"r": 2048}}, "lora.r", "4", "256"),
        ({"lora": {"lora_dropout": 0.9}}, "lora.lora_dropout", "0", "0.3"),
        ({"lora": {"r": 8, "lora_alpha": 800}}, "lora.lora_alpha / lora.r", "0.5", "4"),
        ({"method": "qlora", "lora": {"r": 1}}, "lora.r", "4", "256"),
        ({"method": "prefix", "prefix": {"num_virtual_tokens": 1000}}, "prefix.num_virtual_tokens", "4", "128"),
        ({"method": "prompt", "prompt": {"num_virtual_tokens": 1}}, "prompt.num_virtual_tokens", "4", "128"),
        ({"method": "adapter", "adapter": {"bottleneck_size": 1}}, "adapter.bottleneck_size", "8", "512"),
        ({"method": "adapter", "adapter": {"dropout": 0.9}}, "adapter.dropout", "0", "0.3"),
    ],
)
def test_a_value_out_of_the_usual_range_is_a_note_with_range_and_reason(training: dict[str, Any], key: str, low: str, high: str) -> None:
    [note] = settled(**training).notes
    assert note.startswith(f"training.{key} is ")
    assert f"{low} to {high}: " in note
    assert len(note.rpartition(": ")[2].split()) >= 3


def test_a_value_that_was_chosen_is_noted_with_its_own_reason_and_another_value_is_not() -> None:
    chosen = {"on_purpose": {"lora.learning_rate": {"value": 0.5, "why": "the rows are few"}}}
    assert settled(**chosen, learning_rate=0.5).notes == (
        "training.learning_rate is 0.5 on purpose: the rows are few (usual for lora is 0.001 to 0.01)",
    )
    assert settled(**chosen, learning_rate=0.6).notes == ("training.learning_rate is 0.6; usual for lora is 0.001 to 0.01: it is so",)
    [other] = settled(**chosen, method="ia3", learning_rate=0.5).notes
    assert other.endswith("it is so")


def test_a_reason_is_no_reason_to_train_again() -> None:
    chosen = {"on_purpose": {"lora.r": {"value": 512, "why": "the rows are many"}}}
    assert settled(**chosen).training == settled().training


@pytest.mark.parametrize("preset", ["demo", "smoke"])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_every_unusual_value_of_a_preset_has_its_reason(preset: str, method: str) -> None:
    for note in settle(load_config(preset, None, [f"training.method={method}"]).training).notes:
        assert " on purpose: " in note


def test_settings_of_other_methods_are_not_judged() -> None:
    assert settled(method="ia3", lora={"r": 1024, "lora_dropout": 0.9}).notes == ()


def test_settings_for_a_method_of_another_package_are_noted_if_the_method_is_one_of_ours() -> None:
    assert "does not read it" in settled(custom={"depth": 3}).notes[0]
    outside = settled(method="package.module:NAME", custom={"depth": 3})
    assert (outside.notes, outside.training.custom) == ((), {"depth": 3})


def test_a_method_that_cannot_be_found_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"no_such_package\.module:NAME"):
        settle(TrainingConfig(method="no_such_package.module:NAME"))


def test_a_training_depends_on_no_section_that_its_method_does_not_read() -> None:
    read = read_settings(settled(method="qlora").training)
    assert {"qlora", "lora", "learning_rate"} <= read.keys()
    assert not {"full", "prefix", "prompt", "adapter", "ia3", "custom"} & read.keys()
