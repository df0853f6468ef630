"""What a method has to answer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline_config.training import TrainingConfig
from tasks.manifest import Quantization
from tasks.methods.defaults import Defaults


@dataclass(frozen=True)
class TaskText:
    """What says in words what the task is: soft prompts start from it.

    Attributes:
        instruction: the instruction that the training rows share; null if they have none.
        encode: token ids of a text, without special tokens.
    """

    instruction: str | None
    encode: Callable[[str], list[int]]


class Attach(Protocol):
    """Puts fresh trainable weights on a base and freezes the rest; returns the model to train. Seed torch first."""

    def __call__(self, model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
        """See the class. What does not start from a text ignores it."""
        ...


@dataclass(frozen=True)
class Method:
    """One way to adapt a model.

    A *tree* is a module tree that takes the calls of a causal language model and those of `tasks.batching`. Its base weights are shared
    with other trees; what a method puts on it may change the tree, never those weights.

    Attributes:
        kind: methods of one kind put the same sort of weights on a tree, so their versions can share one.
        quantization: how the base is loaded for it, in training as in serving.
        defaults: what it trains with where the configuration has null.
        vllm: vLLM can serve its artifact.
        attach: see :class:`Attach`. Trainable weights are fp32, whatever the base's precision.
        save: writes the weights of a model that `attach` returned as safetensors to a folder: `save(model, folder, base_name)`. Nothing
            in the folder names a path of this machine.
        load: puts stored weights on a tree under a name, beside others of its kind: `load(tree, name, folder)`. Returns the tree.
        activate: makes a tree answer as the version of this name: `activate(tree, name)`.
        unload: takes one version off a tree that holds others: `unload(tree, name)`.
        merge: folds the only version of a tree into the base's weights, which nobody else may be using and which must not be quantised;
            returns a plain model. Null: this method's weights cannot be folded in.
        own_tree: each version has weights in place of the base's, and so a tree of its own.
    """

    name: str
    kind: str
    quantization: Quantization | None
    defaults: Defaults
    vllm: bool
    attach: Attach
    save: Callable[[Any, Path, str], None]
    load: Callable[[Any, str, Path], Any]
    activate: Callable[[Any, str], None]
    unload: Callable[[Any, str], None]
    merge: Callable[[Any], Any] | None = None
    own_tree: bool = False

    @property
    def mergeable(self) -> bool:
        """Whether its weights can be folded into a base of 16 or 32 bits."""
        return self.merge is not None


def public_name(base_name: str) -> str:
    """The name of a base without the folders that it lies in on this machine."""
    return Path(base_name).name if Path(base_name).expanduser().is_absolute() or Path(base_name).exists() else base_name
