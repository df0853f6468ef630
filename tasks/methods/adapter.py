"""Bottleneck adapters: Houlsby et al. 2019 (https://arxiv.org/abs/1902.00751) and Pfeiffer et al. 2021 (https://arxiv.org/abs/2005.00247).

`tasks.methods.bottleneck` says where they sit. An artifact of this method needs tunegate to be served.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline_config.errors import ModelError
from pipeline_config.training import TrainingConfig
from tasks.files import read_json, write_json
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText, public_name

_TRAINED = "trained"
_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_TYPE = "TUNEGATE_BOTTLENECK"
"""Stands where PEFT has the name of its own method, so that PEFT and vLLM refuse the folder instead of misreading it."""


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Puts adapters on a base that change nothing yet.

    Raises:
        ModelError: the model has no layers of attention and feed-forward.
    """
    from tasks.methods.bottleneck import BottleneckModel, Shape

    own = training.adapter
    attached = BottleneckModel(model)
    attached.add(_TRAINED, Shape(own.placement, own.bottleneck_size, own.activation, own.dropout))
    attached.active = _TRAINED
    return attached


def _save(model: Any, folder: Path, base_name: str) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in model.sets[_TRAINED].state_dict().items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    shape = asdict(model.shapes[_TRAINED])
    write_json(folder / _CONFIG, {"peft_type": _TYPE, "base_model_name_or_path": public_name(base_name), **shape})


def _load(tree: Any, name: str, folder: Path) -> Any:
    """Puts stored adapters on a tree, which becomes a BottleneckModel with the first of them.

    Raises:
        ModelError: they do not fit or are not whole. A tree that held others is then as it was before.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from tasks.methods.bottleneck import BottleneckModel, Shape

    stored = read_json(folder / _CONFIG)
    if stored.get("peft_type") != _TYPE:
        raise ModelError(f"the weights are {stored.get('peft_type')}", where=name, expected=_TYPE)
    model = tree if isinstance(tree, BottleneckModel) else BottleneckModel(tree)
    try:
        shape = Shape(**{key: stored[key] for key in ("placement", "bottleneck_size", "activation", "dropout")})
        model.add(name, shape).load_state_dict(load_file(folder / _WEIGHTS, device=str(model.device)))
    except (RuntimeError, KeyError, OSError, SafetensorError) as error:
        if name in model.sets:
            model.remove(name)
        raise ModelError(f"the adapters do not fit this base: {error}", where=name, expected="a base of the same shape") from error
    return model


def _activate(tree: Any, name: str) -> None:
    tree.active = name


def _unload(tree: Any, name: str) -> None:
    tree.remove(name)


_DEFAULTS = Defaults(
    learning_rate=1e-3,
    usual_rates=(1e-4, 3e-3),
    why="below it adapters stay near the identity that they start from, above it training jumps",
)

METHOD = Method(
    name="adapter", kind="adapter", quantization=None, defaults=_DEFAULTS, vllm=False, attach=_attach, save=_save, load=_load,
    activate=_activate, unload=_unload,
)  # fmt: skip
