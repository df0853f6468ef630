"""Training settings: methods and their sections, fields that pass through, names that are refused or mapped."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_config.errors import ConfigError
from pipeline_config.loading import load_config
from pipeline_config.methods import LoraSettings, MethodSettings
from pipeline_config.passing import OpenSection
from pipeline_config.peft_names import LORA
from pipeline_config.trainer_names import TRAINER
from pipeline_config.training import METHOD_NAMES, TrainingConfig

OURS = {
    "TrainingConfig": {"on_purpose", "method", *METHOD_NAMES, "custom", "epochs", "evals_per_epoch", "early_stopping_patience"},
    "LoraSettings": {"preset"},
    "PrefixSettings": {"init", "init_text"},
    "PromptSettings": set(),
    "Ia3Settings": set(),
}
"""Keys of sections that pass fields on, and that the library has not."""


def faults(**training: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        TrainingConfig.model_validate(training)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in caught.value.errors()}


def loading_faults(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config("demo", None, overrides)
    return str(caught.value)


@pytest.mark.parametrize("method", [*METHOD_NAMES, "my_package.methods:METHOD"])
def test_every_method_is_one_knob(method: str) -> None:
    assert load_config("demo", None, [f"training.method={method}"]).training.method == method


@pytest.mark.parametrize("method", ["lorra", "my_package.methods", "my package:X", ":X", ""])
def test_another_method_is_a_fault_that_names_the_seven(method: str) -> None:
    assert "full, lora, qlora, prefix, prompt, adapter, ia3" in loading_faults(f"training.method={method}")


def test_a_misspelt_method_gets_the_nearest() -> None:
    assert "did you mean `prefix`?" in loading_faults("training.method=prefx")


@pytest.mark.parametrize("preset", ["demo", "smoke"])
def test_no_preset_pins_a_rate_for_methods_that_it_was_not_found_for(preset: str) -> None:
    training = load_config(preset).training
    assert (training.learning_rate, training.epochs) == (None, None)
    assert training.lora.learning_rate is not None


@pytest.mark.parametrize(("preset", "rank", "alpha"), [("simple", 8, 16), ("general", 16, 32), ("complex", 64, 128)])
def test_a_preset_is_short_for_a_rank_with_twice_the_alpha(preset: str, rank: int, alpha: int) -> None:
    settings = LoraSettings.model_validate({"preset": preset})
    assert (settings.r, settings.lora_alpha) == (rank, alpha)
    assert LoraSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("given", "rank", "alpha"), [({}, 16, 32), ({"r": 4}, 4, 8), ({"r": "4"}, 4, 8), ({"r": 4, "lora_alpha": 4}, 4, 4)]
)
def test_alpha_follows_the_rank_unless_it_is_given(given: dict[str, Any], rank: int, alpha: int) -> None:
    settings = LoraSettings.model_validate(given)
    assert (settings.r, settings.lora_alpha) == (rank, alpha)


def test_a_preset_that_contradicts_the_rank_is_a_fault() -> None:
    assert "is short for r = 8, and r is 4" in faults(lora={"preset": "simple", "r": 4})["lora"]


@pytest.mark.parametrize("targets", ["attention", "all-linear", ["q_proj", "v_proj"], r".*\.q_proj"])
def test_targets_are_a_word_a_list_or_an_expression(targets: Any) -> None:
    read = LoraSettings.model_validate({"target_modules": targets}).for_peft()["target_modules"]
    assert read == targets


@pytest.mark.parametrize("targets", ["attenton", "q_proj", [], [3], None])
def test_other_targets_are_one_fault(targets: Any) -> None:
    assert list(faults(lora={"target_modules": targets})) == ["lora.target_modules"]


def test_fields_of_trainer_and_peft_pass_through_under_their_own_names() -> None:
    training = TrainingConfig.model_validate(
        {"adam_beta2": 0.95, "optim": "adafactor", "lr_scheduler_kwargs": {"num_cycles": 2}, "lora": {"rank_pattern": {"q_proj": 4}}}
    )
    assert training.passed() == {"adam_beta2": 0.95, "optim": "adafactor", "lr_scheduler_kwargs": {"num_cycles": 2}}
    assert training.lora.for_peft() == {
        "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": "all-linear", "use_rslora": False, "use_dora": False,
        "init_lora_weights": True, "rank_pattern": {"q_proj": 4},
    }  # fmt: skip


def test_what_passes_through_survives_json_and_counts_in_the_digest() -> None:
    training = TrainingConfig.model_validate({"adam_beta2": 0.95, "warmup_ratio": 0.1, "push_to_hub": False, "lora": {"bias": "none"}})
    assert TrainingConfig.model_validate_json(training.model_dump_json()) == training
    assert training != TrainingConfig()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("adam_beta2", "abc", "expected float"),
        ("adam_beta2", True, "expected float"),
        ("adam_epsilon", float("nan"), "expected float"),
        ("dataloader_num_workers", 1.5, "expected int"),
        ("torch_compile", "perhaps", "expected bool"),
        ("lr_scheduler_kwargs", [1], "expected dict | str | null"),
        ("optim", "adamw_torh", "did you mean `adamw_torch`?"),
        ("lr_scheduler_type", "cosin", "cosine"),
    ],
)
def test_a_value_of_another_type_is_one_fault(name: str, value: object, expected: str) -> None:
    found = faults(**{name: value})
    assert list(found) == [name]
    assert expected in found[name]


@pytest.mark.parametrize("value", ["pissa", "pissa_niter_16", "olora", "gaussian", True, False])
def test_initialisations_that_a_flag_gives_pass_through(value: object) -> None:
    assert LoraSettings.model_validate({"init_lora_weights": value}).for_peft()["init_lora_weights"] == value


@pytest.mark.parametrize("value", ["eva", "loftq", "pissa_niter_x", "pisa"])
def test_initialisations_that_need_more_are_refused(value: str) -> None:
    assert list(faults(lora={"init_lora_weights": value})) == ["lora.init_lora_weights"]


def test_faults_of_own_passed_and_unknown_keys_are_listed_together() -> None:
    found = faults(seed=-1, adam_beta2="abc", epoch=1, push_to_hub=True, lora={"r": 0, "bias": "all", "rang": 3})
    assert sorted(found) == ["adam_beta2", "epoch", "lora.bias", "lora.r", "lora.rang", "push_to_hub", "seed"]


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("training.adam_beta3=1", "adam_beta"),
        ("training.gradient_acumulation_steps=2", "gradient_accumulation_steps"),
        ("training.lora.rank_patern=1", "rank_pattern"),
    ],
)
def test_a_misspelt_field_gets_the_nearest_of_ours_and_the_librarys(override: str, nearest: str) -> None:
    assert f"did you mean `{nearest}" in loading_faults(override)


@pytest.mark.parametrize("name", sorted(TRAINER.refused))
def test_every_refused_field_of_trainer_says_why(name: str) -> None:
    assert faults(**{name: "something"})[name] == f"not taken: {TRAINER.refused[name]}"


@pytest.mark.parametrize("name", sorted(LORA.refused))
def test_every_refused_field_of_lora_says_why(name: str) -> None:
    assert faults(lora={name: "something"})[f"lora.{name}"] == f"not taken: {LORA.refused[name]}"


def test_a_refused_value_is_not_repeated_as_it_may_be_a_secret() -> None:
    message = loading_faults("training.hub_token=hf_sesame")
    assert "training.hub_token: not taken" in message
    assert "sesame" not in message


def test_the_kind_of_quantisation_may_be_said_but_not_changed() -> None:
    said = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    assert TrainingConfig.model_validate({"qlora": said}).qlora.passed() == {}
    assert list(faults(qlora={**said, "bnb_4bit_quant_type": "fp4"})) == ["qlora.bnb_4bit_quant_type"]


def test_a_refused_field_may_say_what_holds_anyway() -> None:
    training = TrainingConfig.model_validate({**TRAINER.held, "lora": dict(LORA.held)})
    assert training.passed() == training.lora.passed() == {}


def test_objects_of_python_are_refused() -> None:
    assert "object of Python" in faults(lora={"runtime_config": {}})["lora.runtime_config"]


@pytest.mark.parametrize(
    ("name", "value", "keys"),
    [
        ("num_train_epochs", 2, {"epochs": 2}),
        ("warmup_ratio", 0.1, {"warmup_steps": 0.1}),
        ("evaluation_strategy", "epoch", {"evals_per_epoch": 1}),
        ("eval_strategy", "steps", {}),
        ("fp16", True, {}),
        ("bf16", False, {}),
        ("group_by_length", True, {"train_sampling_strategy": "group_by_length"}),
        ("adafactor", True, {"optim": "adafactor"}),
        ("per_gpu_train_batch_size", 4, {"per_device_train_batch_size": 4}),
        ("per_gpu_eval_batch_size", 4, {"per_device_eval_batch_size": 4}),
    ],
)
def test_older_names_are_mapped_and_that_is_said(name: str, value: object, keys: dict[str, object]) -> None:
    training = TrainingConfig.model_validate({name: value})
    mapped = training.mapped()[name]
    assert mapped.keys == keys
    assert f"training.{name}" in mapped.note
    assert training.passed() == {}
    assert mapped.keys.keys() <= TrainingConfig.model_fields.keys() | TRAINER.known().keys() - TRAINER.refused.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("warmup_ratio", 1.0),
        ("warmup_ratio", "x"),
        ("evaluation_strategy", "no"),
        ("fp16", "x"),
        ("num_train_epochs", "x"),
        ("adafactor", 3),
    ],
)
def test_an_older_name_with_a_value_that_means_nothing_here_is_a_fault(name: str, value: object) -> None:
    assert list(faults(**{name: value})) == [name]


def test_one_setting_under_two_names_is_a_fault() -> None:
    found = faults(num_train_epochs=2, epochs=3, warmup_ratio=0.1, warmup_steps=10)
    assert "`epochs` and `num_train_epochs` are the same setting" in found["num_train_epochs"]
    assert "`warmup_steps` and `warmup_ratio` are the same setting" in found["warmup_ratio"]


def test_half_precision_contradicts_a_base_in_fp32() -> None:
    assert "model.dtype" in loading_faults("training.fp16=true", "model.dtype=float32")
    assert load_config("demo", None, ["training.fp16=true"]).model.dtype == "bfloat16"


@pytest.mark.parametrize("name", ["gradient_checkpointing", "activation_checkpointing"])
def test_prefix_tuning_and_checkpointing_exclude_each_other(name: str) -> None:
    assert name in faults(method="prefix", **{name: True})[""]
    assert TrainingConfig.model_validate({"method": "lora", name: True}).passed() == {name: True}


def test_rows_are_not_spread_over_processes() -> None:
    assert "batch_rebalance" in faults(train_sampling_strategy="batch_rebalance")[""]
    assert TrainingConfig.model_validate({"train_sampling_strategy": "sequential"}).passed() == {"train_sampling_strategy": "sequential"}


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "mica"])
def test_a_start_that_needs_the_base_s_weights_needs_one_that_is_not_quantised(start: str) -> None:
    assert start in faults(method="qlora", lora={"init_lora_weights": start})[""]


@pytest.mark.parametrize("key", ["lora.rank", "lorra.r", "learning_rates", "seed.r", "lora.r.r"])
def test_a_reason_for_a_key_that_is_none_is_a_fault(key: str) -> None:
    assert key in faults(on_purpose={key: {"value": 1, "why": "so"}})[""]


def test_products_of_a_base_in_4_bits_are_made_in_the_precision_that_is_served() -> None:
    found = loading_faults("training.method=qlora", "training.qlora.bnb_4bit_compute_dtype=float32")
    assert "training.qlora.bnb_4bit_compute_dtype" in found
    assert "`model.dtype`, which is bfloat16" in found
    for held in (["training.method=lora"], ["model.dtype=float32", "training.method=qlora"]):
        load_config("demo", None, [*held, "training.qlora.bnb_4bit_compute_dtype=float32"])


def sections() -> list[type[OpenSection]]:
    found = [
        field.annotation
        for field in TrainingConfig.model_fields.values()
        if isinstance(field.annotation, type) and issubclass(field.annotation, MethodSettings)
    ]
    return [TrainingConfig, *found]


@pytest.mark.parametrize(
    "section", [section for section in sections() if section.names.library_class], ids=lambda section: section.__name__
)
def test_every_key_that_is_not_ours_has_the_librarys_name(section: type[OpenSection]) -> None:
    ours = OURS[section.__name__] | ({"learning_rate", "epochs"} if issubclass(section, MethodSettings) else set())
    assert section.model_fields.keys() - section.names.known().keys() == ours


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_no_key_is_refused_or_older_at_once(section: type[OpenSection]) -> None:
    names = section.names
    assert not section.model_fields.keys() & (names.refused.keys() | names.older.keys())
    assert not names.refused.keys() & names.older.keys()
    assert names.held.keys() <= names.refused.keys()


@given(st.dictionaries(st.sampled_from(sorted(TRAINER.known())), st.none() | st.booleans() | st.floats() | st.text(max_size=5), max_size=4))
def test_any_field_with_any_value_is_a_configuration_or_faults_of_these_fields(values: dict[str, Any]) -> None:
    try:
        training = TrainingConfig.model_validate(values)
    except ValidationError as error:
        assert {fault["loc"][0] for fault in error.errors()} <= values.keys()
    else:
        assert training.passed().keys() <= values.keys()
