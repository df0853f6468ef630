"""Every fine-tuning method, as data: training, loading and serving all ask this one table."""

import importlib

from pipeline_config.errors import ConfigError
from tasks.methods import adapter, full, ia3, lora, prefix, prompt, qlora
from tasks.methods.method import Method, TaskText

METHODS: dict[str, Method] = {module.METHOD.name: module.METHOD for module in (full, lora, qlora, prefix, prompt, adapter, ia3)}
"""By the name that `training.method` uses."""


def find_method(name: str) -> Method:
    """A method of the table, or the object that `package.module:NAME` names.

    Raises:
        ConfigError: there is none, or it is no method.
    """
    if name in METHODS:
        return METHODS[name]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"no method {name!r}: {error}", where="training.method", expected="`package.module:NAME`") from error
    if not isinstance(found, Method):
        raise ConfigError(f"{name!r} is a {type(found).__name__}", where="training.method", expected="a tasks.methods.Method")
    return found


__all__ = ["METHODS", "Method", "TaskText", "find_method"]
