"""Prompt tuning: learnt embeddings before each row (Lester et al. 2021, https://arxiv.org/abs/2104.08691).

They start as the embeddings of the instruction's own words. PEFT would load a tokenizer for that, and store where it lies; here the words
are put in after PEFT has started at random.
"""

from typing import Any

from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.methods import peft_tree, soft_tree
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Puts a soft prompt before a base.

    Raises:
        ConfigError: PEFT refuses a setting, or there is no text to start from.
    """
    import torch
    from peft import PromptTuningConfig, TaskType, get_peft_model

    from tasks.methods.soft import SoftPromptModel

    settings = training.prompt.for_peft()
    given, start = settings.pop("prompt_tuning_init_text"), settings.pop("prompt_tuning_init")
    from_text = start == "TEXT"
    count = settings["num_virtual_tokens"]
    ids = soft_tree.start_ids(given, text, count, "training.prompt.prompt_tuning_init_text") if from_text else []
    try:
        config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, prompt_tuning_init="RANDOM" if from_text else start, **settings)
        attached = get_peft_model(model, config)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"PEFT refuses these settings: {error}", where="training.prompt", expected="settings of prompt tuning") from error
    prompt = attached.prompt_encoder[peft_tree.TRAINED].float()
    if from_text:
        with torch.no_grad():
            embed = attached.get_base_model().get_input_embeddings()
            prompt.embedding.weight.copy_(embed(torch.tensor(ids, device=embed.weight.device)))
    return SoftPromptModel(attached)


_DEFAULTS = Defaults(
    learning_rate=1e-1, usual_rates=(3e-3, 3e-1), why="a few embeddings have to move far to change what the model does", epochs=4.0
)

METHOD = Method(
    name="prompt", kind="prompt", quantization=None, defaults=_DEFAULTS, vllm=False, attach=_attach, save=soft_tree.save,
    load=soft_tree.load, activate=soft_tree.activate, unload=soft_tree.unload,
)  # fmt: skip
