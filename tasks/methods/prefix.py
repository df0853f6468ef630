"""Prefix tuning: learnt keys and values before each row, in every layer (Li and Liang 2021, https://arxiv.org/abs/2101.00190).

They start as the keys and values that the base computes for the instruction's own text, so the model begins near where it was; from random
ones it hardly finds back. That takes the place of the paper's projection, which can be had but starts at random.
"""

from typing import Any

from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.methods import peft_tree, soft_tree
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Puts a prefix before a base.

    Raises:
        ConfigError: PEFT refuses a setting, there is no text to start from, or a projection is asked for that cannot start from one.
    """
    from peft import PrefixTuningConfig, TaskType, get_peft_model

    from tasks.methods.soft import SoftPromptModel

    settings = training.prefix.for_peft()
    own = training.prefix
    ids: list[int] = []
    if own.init == "text":
        ids = soft_tree.start_ids(own.init_text, text, own.num_virtual_tokens, "training.prefix.init_text")
        if own.prefix_projection:
            raise ConfigError(
                "a projected prefix cannot start from a text", where="training.prefix.prefix_projection", expected="false",
                hint="set training.prefix.init: random to have the projection",
            )  # fmt: skip
    try:
        attached = get_peft_model(model, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, **settings))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"PEFT refuses these settings: {error}", where="training.prefix", expected="settings of prefix tuning") from error
    attached.prompt_encoder[peft_tree.TRAINED].float()
    if ids:
        _start_from(attached, ids)
    return SoftPromptModel(attached)


def _start_from(attached: Any, ids: list[int]) -> None:
    import torch
    from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values
    from transformers import DynamicCache

    base = attached.get_base_model()
    was_training = base.training
    base.eval()
    with torch.no_grad():
        # A cache without the model's configuration keeps all keys, also in layers with a sliding window.
        cache = base(torch.tensor([ids], device=base.device), past_key_values=DynamicCache(), use_cache=True).past_key_values
    base.train(was_training)
    pairs = [(layer.keys, layer.values) for layer in cache.layers]
    initialize_kv_prefix_from_past_key_values(attached, past_key_values=pairs)


_DEFAULTS = Defaults(
    learning_rate=1e-2, usual_rates=(1e-3, 5e-2), why="keys and values are as large as activations, and steps have to be too", epochs=4.0
)

METHOD = Method(
    name="prefix", kind="prefix", quantization=None, defaults=_DEFAULTS, vllm=False, attach=_attach, save=soft_tree.save,
    load=soft_tree.load, activate=soft_tree.activate, unload=soft_tree.unload,
)  # fmt: skip
