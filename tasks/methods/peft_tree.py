"""What all methods of PEFT share: artifacts without traces of this machine, and trees that hold several versions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.files import write_json
from tasks.methods.method import public_name

if TYPE_CHECKING:
    import torch

TRAINED = "default"
"""PEFT's name for the weights that are being trained."""


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
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {**config, "base_model_name_or_path": public_name(base_name), "inference_mode": True}
    # Sets come in another order in each process, and the artifact's digest with them.
    write_json(folder / "adapter_config.json", json.loads(json.dumps(settings, default=sorted)))


def load(tree: Any, name: str, folder: Path) -> Any:
    """Puts stored weights on a tree, which becomes a PeftModel with the first of them."""
    from peft import PeftModel

    if isinstance(tree, PeftModel):
        # Not with `low_cpu_mem_usage`: it rounds the weights to the base's precision, and the answers are no longer those that were judged.
        tree.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        return tree
    return PeftModel.from_pretrained(tree, str(folder), adapter_name=name, is_trainable=False)


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
