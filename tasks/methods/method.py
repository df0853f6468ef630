"""What a method has to answer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_config.training import TrainingConfig
from tasks.methods.defaults import Defaults


@dataclass(frozen=True)
class Method:
    """One way to adapt a model.

    Attributes:
        defaults: what it trains with where the configuration has null.
        attach: puts fresh trainable weights on a base; returns the model to train. Seed torch first.
        save: writes the trained weights as safetensors to a folder, naming the base without any path of this machine.
        load: puts stored weights on a model under a name: `load(model, name, folder)`. Returns the model that holds them.
    """

    name: str
    defaults: Defaults
    attach: Callable[[Any, TrainingConfig], Any]
    save: Callable[[Any, Path, str], None]
    load: Callable[[Any, str, Path], Any]
