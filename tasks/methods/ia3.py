"""(IA)3: learnt scales on keys, values and the feed-forward's inner activations (Liu et al. 2022, https://arxiv.org/abs/2205.05638).

Where keys and values come out of one projection with the queries, that whole projection is scaled.
"""

from typing import Any

from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.methods import peft_tree
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText
from tasks.methods.targets import feed_forward_outputs, keys_and_values


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """Puts scales of 1 on a base.

    Raises:
        ConfigError: PEFT refuses a setting.
        ModelError: no projections are found.
    """
    from peft import IA3Config, TaskType, get_peft_model

    settings = training.ia3.for_peft()
    if settings["target_modules"] is None:
        inner = settings["feedforward_modules"]
        inner = feed_forward_outputs(model) if inner is None else inner
        settings |= {"target_modules": _with(keys_and_values(model), inner), "feedforward_modules": inner}
    elif settings["feedforward_modules"] is None:
        settings["feedforward_modules"] = _inner_of(settings["target_modules"], feed_forward_outputs(model))
    try:
        return get_peft_model(model, IA3Config(task_type=TaskType.CAUSAL_LM, **settings))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"PEFT refuses these settings: {error}", where="training.ia3", expected="settings of (IA)3") from error


def _with(outer: list[str], inner: list[str] | str) -> list[str]:
    if isinstance(inner, str):
        raise ConfigError(
            "a regular expression for `feedforward_modules` alone",
            where="training.ia3.feedforward_modules",
            expected="`target_modules` too",
        )
    return [*outer, *inner]


def _inner_of(targets: list[str] | str, inner: list[str]) -> list[str]:
    """Those of the targets that are the feed-forward's last; their inputs are scaled, of others the outputs."""
    if isinstance(targets, str):
        return inner
    return [name for name in targets if any(f".{name}".endswith(f".{end}") or f".{end}".endswith(f".{name}") for end in inner)]


_DEFAULTS = Defaults(
    learning_rate=5e-3, usual_rates=(1e-3, 2e-2), why="the few scales start at 1 and have far to go; above it they overshoot"
)

METHOD = Method(
    name="ia3", kind="ia3", quantization=None, defaults=_DEFAULTS, vllm=False, attach=_attach, save=peft_tree.save, load=peft_tree.load,
    activate=peft_tree.activate, unload=peft_tree.unload, merge=peft_tree.merge,
)  # fmt: skip
