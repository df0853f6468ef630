"""LoRA: low-rank updates beside frozen projections (Hu et al. 2021, https://arxiv.org/abs/2106.09685)."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.methods import peft_tree
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText
from tasks.methods.targets import all_projections, attention_projections

if TYPE_CHECKING:
    import torch

# Initialisations that take from the base's weights what they put into the update (`pissa_niter_16` and the like included).
_MOVES_BASE = re.compile(r"pissa|olora", re.IGNORECASE)
_STARTED = "_tunegate_started_from"
"""Attribute of a model in training: the first weights of an initialisation that has moved the base's."""


def attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Puts LoRA on a base; also on one in 4 bits.

    Raises:
        ConfigError: PEFT refuses a setting, or it would move weights that are in 4 bits.
        ModelError: no projections are found.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    from tasks.methods.low_rank import use_low_rank_update

    settings = training.lora.for_peft()
    moves_base = bool(_MOVES_BASE.search(str(settings["init_lora_weights"])))
    if moves_base and getattr(model, "is_loaded_in_4bit", False):
        raise ConfigError(
            f"{settings['init_lora_weights']!r} changes the base's weights, which are in 4 bits", where="training.lora.init_lora_weights",
            expected="an initialisation that leaves the base alone", hint="use method lora, or leave it true",
        )  # fmt: skip
    targets = settings.pop("target_modules")
    named = {"attention": attention_projections, "all-linear": all_projections}
    settings["target_modules"] = named[targets](model) if isinstance(targets, str) and targets in named else targets
    try:
        attached = get_peft_model(model, LoraConfig(task_type=TaskType.CAUSAL_LM, **settings))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ConfigError(f"PEFT refuses these settings: {error}", where="training.lora", expected="settings of LoRA") from error
    use_low_rank_update(attached)
    if moves_base:
        setattr(attached, _STARTED, {name: weights.clone() for name, weights in peft_tree.trained_state(attached).items()})
    return attached


def save(model: Any, folder: Path, base_name: str) -> None:
    """Writes the update of the untouched base, whatever the initialisation did to the base in training."""
    state, config = peft_tree.trained_state(model), model.peft_config[peft_tree.TRAINED].to_dict()
    started = getattr(model, _STARTED, None)
    if started is not None:
        state, config = _without_start(state, started), _of_twice_the_rank(config)
    peft_tree.write_artifact(state, config, folder, base_name)


def _without_start(state: Mapping[str, "torch.Tensor"], started: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Training began at W - B0 A0 beside B0 A0, so the update of W is B A - B0 A0 = [B, -B0] [A; A0]: plain LoRA of twice the rank."""
    import torch

    whole = dict(state)
    for name, weights in state.items():
        if ".lora_A." in name:
            whole[name] = torch.cat([weights, started[name]], dim=0)
        elif ".lora_B." in name:
            whole[name] = torch.cat([weights, -started[name]], dim=1)
    return whole


def _of_twice_the_rank(config: Mapping[str, Any]) -> dict[str, Any]:
    """The scale of an update is alpha / r, of rsLoRA alpha / sqrt(r): it stays."""
    alpha = math.sqrt(2) if config["use_rslora"] else 2
    return {
        **config,
        "r": 2 * config["r"],
        "lora_alpha": alpha * config["lora_alpha"],
        "rank_pattern": {name: 2 * rank for name, rank in config["rank_pattern"].items()},
        "alpha_pattern": {name: alpha * value for name, value in config["alpha_pattern"].items()},
        "init_lora_weights": True,
    }


DEFAULTS = Defaults(
    learning_rate=2e-4, usual_rates=(1e-4, 3e-4), why="below it the few trained weights hardly move, above it large models become unstable"
)

METHOD = Method(
    name="lora", kind="lora", quantization=None, defaults=DEFAULTS, vllm=True, attach=attach, save=save, load=peft_tree.load,
    activate=peft_tree.activate, unload=peft_tree.unload, merge=peft_tree.merge,
)  # fmt: skip
