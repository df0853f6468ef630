"""A training method as another package would bring it: one learnt number that scales the logits."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from pipeline_config.training import TrainingConfig
from tasks.methods import Method, TaskText
from tasks.methods.defaults import Defaults


class Scaled(torch.nn.Module):
    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scales = torch.nn.ParameterDict()
        self.active = ""

    @property
    def config(self) -> Any:
        return self.base.config

    @property
    def device(self) -> Any:
        return self.base.device

    def forward(self, *inputs: Any, **call: Any) -> Any:
        output = self.base(*inputs, **call)
        output.logits = output.logits * self.scales[self.active]
        return output


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Scaled:
    return _with(model, "trained", torch.tensor(float(str(training.custom["start"]))))


def _with(model: Any, name: str, scale: torch.Tensor) -> Scaled:
    scaled = model if isinstance(model, Scaled) else Scaled(model)
    scaled.scales[name] = torch.nn.Parameter(scale)
    scaled.active = name
    return scaled


def _save(model: Scaled, folder: Path, base_name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"scale": model.scales["trained"].detach()}, folder / "scale.safetensors")


def _load(tree: Any, name: str, folder: Path) -> Scaled:
    return _with(tree, name, load_file(folder / "scale.safetensors")["scale"])


def _unload(tree: Scaled, name: str) -> None:
    del tree.scales[name]


METHOD = Method(
    name="tests.outside:METHOD", kind="scaled", quantization=None, vllm=False, attach=_attach, save=_save, load=_load,
    defaults=Defaults(learning_rate=1.0, usual_rates=(0.1, 10.0), why="it is one number"),
    activate=lambda tree, name: setattr(tree, "active", name), unload=_unload,
)  # fmt: skip
