"""Which fields of PEFT's configurations are passed on, and which are refused and why. What is not named here goes to PEFT as it is."""

from collections.abc import Mapping
from typing import Any

from pipeline_config.passing import Names


def _because(reason: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, reason)


_EVERY: Mapping[str, str] = {
    **_because("tunegate trains causal language models, and `training.method` names the method", "task_type", "peft_type", "auto_mapping"),
    **_because("the base is `model.name_or_path` and `model.revision`", "base_model_name_or_path", "revision"),
    **_because("PEFT writes it", "peft_version", "inference_mode"),
}

_OF_THE_MODEL = _because("it is read from the model", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers")
_NO_MODULES = _because("only the virtual tokens are trained and stored", "modules_to_save")

_LORA: Mapping[str, str] = {
    **_because("it trains the base's own biases, which all versions on one server share", "bias"),
    **_because("it repeats layers of the base, which all versions on one server share", "layer_replication"),
    **_because(
        "it needs passes over data, or a base, that are not part of a run",
        "loftq_config", "eva_config", "corda_config", "lora_ga_config",
    ),
    **_because("it looks for tokens in one row, and rows are packed", "alora_invocation_tokens"),
    **_because("it needs a base that was quantised by GPTQ", "use_qalora", "qalora_group_size"),
    **_because("Megatron is not used", "megatron_config", "megatron_core"),
}  # fmt: skip

_HELD: Mapping[str, Any] = {"task_type": "CAUSAL_LM", "inference_mode": False}

LORA = Names(library_class="LoraConfig", refused={**_EVERY, **_LORA}, held={**_HELD, "bias": "none"})
PREFIX = Names(library_class="PrefixTuningConfig", refused={**_EVERY, **_OF_THE_MODEL, **_NO_MODULES}, held=_HELD)
PROMPT = Names(
    library_class="PromptTuningConfig",
    refused={
        **_EVERY,
        **_OF_THE_MODEL,
        **_NO_MODULES,
        **_because("the tokenizer is the one of `model.name_or_path`", "tokenizer_name_or_path", "tokenizer_kwargs"),
    },
    held=_HELD,
)
IA3 = Names(library_class="IA3Config", refused=_EVERY, held=_HELD)
QLORA = Names(
    refused=_because(
        "with qlora the base is in 4 bits, NF4 with double quantisation, wherever it is trained, asked or served",
        "load_in_4bit", "load_in_8bit", "llm_int8_threshold", "llm_int8_skip_modules", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
        "bnb_4bit_quant_storage",
    ),
    held={"load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
)  # fmt: skip
