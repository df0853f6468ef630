"""What all methods of PEFT share: artifacts without traces of this machine, and trees that hold several versions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config.errors import ModelError
from tasks.files import write_json
from tasks.methods.method import public_name

if TYPE_CHECKING:
    import torch

TRAINED = "default"
"""PEFT's name for the weights that are being trained."""
_WEIGHTS = "adapter_model.safetensors"


def trained_state(model: Any) -> dict[str, "torch.Tensor"]:
    """The trained weights, under the names that PEFT stores them by."""
    from peft import get_peft_model_state_dict

    # Embeddings are never trained here; looking whether they were would ask the hub.
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, adapter_name=TRAINED, save_embedding_layers=False)
    return state


def save(model: Any, folder: Path, base_name: str) -> None:
    """Writes a PeftModel's trained weights as PEFT does, but for the card, which speaks of the machine that trained."""
    write_artifact(trained_state(model), model.peft_config[TRAINED].to_dict(), folder, base_name)


def write_artifact(state: Mapping[str, "torch.Tensor"], config: Mapping[str, Any], folder: Path, base_name: str) -> None:
    """Writes weights and PEFT's configuration of them; the same content gives the same bytes."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    settings = {**config, "base_model_name_or_path": public_name(base_name), "inference_mode": True}
    # Sets come in another order in each process, and the artifact's digest with them.
    write_json(folder / "adapter_config.json", json.loads(json.dumps(settings, default=sorted)))


def load(tree: Any, name: str, folder: Path) -> Any:
    """Puts stored weights on a tree, which becomes a PeftModel with the first of them.

    Raises:
        ModelError: they do not fit or are not whole. A tree that held others is then as it was before; another one is to be thrown away.
    """
    from peft import PeftModel

    holds_others = isinstance(tree, PeftModel)
    try:
        if holds_others:
            # Not with `low_cpu_mem_usage`: it rounds the weights to the base's precision, and the answers are no longer those judged.
            tree.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        else:
            tree = PeftModel.from_pretrained(tree, str(folder), adapter_name=name, is_trainable=False)
        _require_all(tree, name, folder)
    # PEFT, and what reads its files, fail in many ways.
    except Exception as error:
        if holds_others:
            _forget(tree, name)
        raise ModelError(f"the weights do not fit this base: {error}", where=name, expected="weights of a base like this one") from error
    return tree


def _require_all(tree: Any, name: str, folder: Path) -> None:
    """PEFT only warns where a file lacks some of the weights, which are then random.

    Counted by whole parts of names: PEFT's own reading of a tree takes `v1` for a part of `v10`, and `1` for the number of a layer.
    """
    from safetensors import safe_open

    wanted = sum(name in key.split(".")[-2:] or f"prompt_encoder.{name}." in key for key in tree.state_dict())
    with safe_open(folder / _WEIGHTS, framework="pt") as file:
        stored = len(file.keys())
    if stored != wanted:
        raise ValueError(f"{stored} weights are stored, and {wanted} are needed")


def _forget(tree: Any, name: str) -> None:
    """Takes off what a failed load has put on a tree so far. PEFT itself takes back no more than the name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    tree.peft_config.pop(name, None)
    for layer in tree.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.delete_adapter(name)
    for prompts in (getattr(tree, "prompt_encoder", {}), getattr(tree, "prompt_tokens", {})):
        if name in prompts:
            del prompts[name]


def activate(tree: Any, name: str) -> None:
    """Makes a PeftModel use the weights of this name."""
    tree.set_adapter(name)


def unload(tree: Any, name: str) -> None:
    """Takes the weights of this name off a PeftModel that holds others."""
    # PEFT warns when it has to choose itself which weights are used next.
    tree.set_adapter(next(other for other in tree.peft_config if other != name))
    tree.delete_adapter(name)


def merge(tree: Any) -> Any:
    """The base with the only weights of a PeftModel folded in."""
    return tree.merge_and_unload()
