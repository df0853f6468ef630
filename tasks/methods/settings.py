"""From what the configuration says to what a run trains with, and what a person should know of it."""

from dataclasses import dataclass

from pipeline_config.training import SettledTraining, TrainingConfig
from tasks.methods.defaults import Defaults


@dataclass(frozen=True)
class Settled:
    """Training settings without a null that means a default, and notes: older names that were mapped, values out of the usual range."""

    training: SettledTraining
    notes: tuple[str, ...]


def settle(training: TrainingConfig) -> Settled:
    """Fills what is null with the method's defaults.

    What `training` says for every method comes first, then what the method's own section says, then the method's default.
    """
    # The table's own modules import this package's `defaults`: at the top, this import would be a circle.
    from tasks.methods import find_method

    return fill(training, find_method(training.method).defaults)


def fill(training: TrainingConfig, defaults: Defaults) -> Settled:
    """:func:`settle` with the defaults at hand."""
    own = training.own_settings
    values = training.model_dump()
    for name in ("learning_rate", "epochs", "warmup_steps", "lr_scheduler_type", "weight_decay", "max_grad_norm"):
        if values[name] is None:
            values[name] = getattr(own, name, None)
        if values[name] is None:
            values[name] = getattr(defaults, name)
    return Settled(training=SettledTraining.model_validate(values), notes=())
