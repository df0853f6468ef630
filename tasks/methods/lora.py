"""LoRA: low-rank updates beside frozen projections (Hu et al. 2021, https://arxiv.org/abs/2106.09685)."""

from pathlib import Path
from typing import Any

from pipeline_config.training import TrainingConfig
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method

# Names that Hugging Face's decoder families give their attention projections, fused ones included.
_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "c_attn", "dense", "out_proj"]


def _attach(model: Any, training: TrainingConfig) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    settings = training.lora.for_peft()
    if settings["target_modules"] == "attention":
        settings["target_modules"] = _attention_of(model)
    config = LoraConfig(task_type=TaskType.CAUSAL_LM, **settings)
    return get_peft_model(model, config)


def _attention_of(model: Any) -> list[str]:
    present = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    return [name for name in _ATTENTION if name in present]


def _save(model: Any, folder: Path, base_name: str) -> None:
    for config in model.peft_config.values():
        config.base_model_name_or_path = base_name
        config.inference_mode = True
    # Embeddings are never trained here; looking whether they were would ask the hub.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    # PEFT's generated card speaks of the machine that trained; the version's own card is written elsewhere.
    (folder / "README.md").unlink(missing_ok=True)


def _load(model: Any, name: str, folder: Path) -> Any:
    from peft import PeftModel

    if isinstance(model, PeftModel):
        # Not with `low_cpu_mem_usage`: it rounds the weights to the base's precision, and the answers are no longer those that were judged.
        model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        return model
    return PeftModel.from_pretrained(model, str(folder), adapter_name=name, is_trainable=False)


_DEFAULTS = Defaults(
    learning_rate=2e-4, usual_rates=(1e-4, 3e-4), why="below it the few trained weights hardly move, above it large models become unstable"
)

METHOD = Method(name="lora", defaults=_DEFAULTS, attach=_attach, save=_save, load=_load)
