"""Full fine-tuning: every weight of the base is trained, and a version is a whole model.

Training keeps fp32 masters, for at a rate of 1e-5 most steps are smaller than what bf16 can add to a weight. A version is stored in the
base's precision, as it is judged and served.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config.errors import ModelError
from pipeline_config.training import TrainingConfig
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText

if TYPE_CHECKING:
    import torch


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Makes every weight trainable, in fp32. `model.config.dtype` still says what the base had."""
    dtype = model.config.dtype
    whole = model.float().requires_grad_(True)
    whole.config.dtype = dtype
    return whole


def _save(model: Any, folder: Path, base_name: str) -> None:
    """Writes the whole model in the base's precision; weights that are tied are written once."""
    import torch

    dtype: torch.dtype = model.config.dtype
    cast: dict[int, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for name, weights in model.state_dict().items():
        state[name] = cast.setdefault(weights.data_ptr(), weights.to(dtype) if weights.is_floating_point() else weights)
    model.save_pretrained(folder, state_dict=state)
    # It has noted the precision of the masters; what lies in the folder is of the base's.
    model.config.dtype = dtype
    model.config.save_pretrained(folder)


def _load(tree: Any, name: str, folder: Path) -> Any:
    """Puts a stored model's weights in place of a tree's."""
    from safetensors.torch import load_file

    state: dict[str, torch.Tensor] = {}
    for part in sorted(folder.glob("*.safetensors")):
        state |= load_file(part, device=str(tree.device))
    wanted = dict(tree.named_parameters())
    wrong = {key for key in state if key not in tree.state_dict()} | (set(wanted) - set(state))
    wrong |= {key for key in set(wanted) & set(state) if (wanted[key].shape, wanted[key].dtype) != (state[key].shape, state[key].dtype)}
    if wrong:
        raise ModelError(
            f"{len(wrong)} weights are not those of the base's architecture, such as {min(wrong)}", where=name,
            expected="a whole model like the base",
        )  # fmt: skip
    tree.load_state_dict(state, strict=False, assign=True)
    tree.tie_weights()
    return tree.requires_grad_(False)


def _activate(tree: Any, name: str) -> None:
    """Its tree is this version and no other."""


def _unload(tree: Any, name: str) -> None:
    """Never called: a tree of its own goes as a whole."""


_DEFAULTS = Defaults(
    learning_rate=2e-5, usual_rates=(1e-5, 5e-5), why="below it nothing is learnt in a few epochs, above it the base's knowledge is lost"
)

METHOD = Method(
    name="full", kind="full", quantization=None, defaults=_DEFAULTS, vllm=True, attach=_attach, save=_save, load=_load,
    activate=_activate, unload=_unload, own_tree=True,
)  # fmt: skip
