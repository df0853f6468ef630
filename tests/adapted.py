"""Versions of every method with random weights that matter, for tests."""

from pathlib import Path
from typing import Any

from pipeline_config.training import TrainingConfig
from tasks.files import file_digests
from tasks.manifest import MANIFEST, Manifest, write_manifest
from tasks.methods import TaskText, find_method
from tasks.models import LoadedBase
from tests.builders import INSTRUCTION

METHODS = ("full", "lora", "qlora", "prefix", "prompt", "adapter", "ia3")
_SMALL: dict[str, dict[str, Any]] = {
    "lora": {"r": 4}, "prefix": {"num_virtual_tokens": 5}, "prompt": {"num_virtual_tokens": 5}, "adapter": {"bottleneck_size": 8},
}  # fmt: skip


def training(method: str, **settings: Any) -> TrainingConfig:
    """Settings of a method small enough for a tiny model; `settings` are sections of `training`, on top."""
    sections = {name: {**_SMALL.get(name, {}), **settings.get(name, {})} for name in {*_SMALL, *settings}}
    return TrainingConfig.model_validate({"method": method, **sections})


def task_text(base: LoadedBase, instruction: str | None = INSTRUCTION) -> TaskText:
    return TaskText(instruction, lambda text: list(base.tokenizer(text, add_special_tokens=False)["input_ids"]))


def attach(method: str, base: LoadedBase, seed: int, **settings: Any) -> Any:
    """A base with fresh weights of a method, as training begins with them; the base is used up."""
    import torch

    torch.manual_seed(seed)
    return find_method(method).attach(base.model, training(method, **settings), task_text(base))


def shake(model: Any, seed: int, std: float = 0.1) -> Any:
    """Moves every trainable weight."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights.add_(torch.randn_like(weights), alpha=std)
    return model


def make_artifact(folder: Path, method: str, base: LoadedBase, seed: int, **settings: Any) -> Path:
    """Writes a version whose weights differ for each seed; the base is used up."""
    model = shake(attach(method, base, seed, **settings), seed)
    return store(folder, method, base, model)


def store(folder: Path, method: str, base: LoadedBase, model: Any) -> Path:
    """Writes a trained model with a manifest."""
    find_method(method).save(model.eval(), folder, base.identity.name_or_path)
    manifest = Manifest(
        method=method, base=base.identity, instruction=None, labels=None, max_new_tokens=8, data_digest="d", code_revision=None,
        files=file_digests(folder, leave_out=[MANIFEST]),
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder
