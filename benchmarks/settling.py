"""A method's settings with its own defaults in place of what is not given, as a run settles them before it trains."""

import importlib
import importlib.util

from pipeline_config.training import TrainingConfig


def settled(training: TrainingConfig) -> TrainingConfig:
    """What the training child gets. Where no method has defaults of its own, the configuration has them all already."""
    module = "tasks.methods.settings"
    if importlib.util.find_spec(module) is None:
        return training
    filled: TrainingConfig = importlib.import_module(module).settle(training).training
    return filled
