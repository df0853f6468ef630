"""From what the configuration says to what a run trains with, and what a person should know of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_config.training import METHOD_NAMES, Purpose, SettledTraining, TrainingConfig
from tasks.methods.defaults import Defaults

_FILLED = ("learning_rate", "epochs", "warmup_steps", "lr_scheduler_type", "weight_decay", "max_grad_norm")


@dataclass(frozen=True)
class Settled:
    """Training settings without a null that means a default.

    Attributes:
        notes: older names that were mapped, values out of their usual range, settings that the method does not read; a sentence each.
    """

    training: SettledTraining
    notes: tuple[str, ...]

    @property
    def filled(self) -> dict[str, Any]:
        """The keys of `training` whose null means a default, with what they are now."""
        return {name: getattr(self.training, name) for name in _FILLED}


@dataclass(frozen=True)
class _Usual:
    """The range in which a setting usually lies, ends included, and what is wrong beyond it."""

    low: float
    high: float
    why: str


_USUAL: dict[str, _Usual] = {
    "epochs": _Usual(0.5, 20, "fewer leave the weights near where they began, more learn the training rows by heart"),
    "weight_decay": _Usual(0, 0.1, "more pulls the weights back faster than small data moves them"),
    "max_grad_norm": _Usual(0.1, 10, "lower makes every step as small as the largest gradient, higher clips nothing"),
    "lora.r": _Usual(4, 256, "a lower rank cannot hold a new task, a higher one costs what full fine-tuning costs"),
    "lora.lora_dropout": _Usual(0, 0.3, "more hides most of what the few trained weights could learn from"),
    "prefix.num_virtual_tokens": _Usual(4, 128, "fewer cannot hold a task, more cost memory and time in every request"),
    "prompt.num_virtual_tokens": _Usual(4, 128, "fewer cannot hold a task, more cost memory and time in every request"),
    "adapter.bottleneck_size": _Usual(8, 512, "a narrower one cannot hold a new task, a wider one costs what full fine-tuning costs"),
    "adapter.dropout": _Usual(0, 0.3, "more hides most of what the few trained weights could learn from"),
}
"""Keys below `training`. Those of a method's section count only if that section is read."""

_ALPHA = _Usual(0.5, 4, "the update is scaled by lora_alpha / r; outside, it drowns in the base's weights or drowns them")
_WARMUP_SHARE = _Usual(0, 0.2, "a longer warm-up leaves few steps at the full rate")

_READ_BESIDES: dict[str, tuple[str, ...]] = {"qlora": ("lora",)}
"""Sections that a method reads besides its own."""


def settle(training: TrainingConfig) -> Settled:
    """Fills what is null with the method's defaults, and says what is unusual.

    What `training` says for every method comes first, then what the method's own section says, then the method's default. Sections that the
    method does not read are set back, and so is what only explains: a change there is no reason to train again.

    Raises:
        ConfigError: there is no such method.
    """
    # The modules of the table import this package's `defaults`: at the top, this import would be a circle.
    from tasks.methods import find_method

    return settle_with(training, find_method(training.method).defaults)


def settle_with(training: TrainingConfig, defaults: Defaults) -> Settled:
    """:func:`settle` with the method's defaults at hand."""
    mapped = training.mapped()
    dropped = {*mapped, *training.names.refused, *_unread_sections(training.method), "on_purpose"}
    values = {name: value for name, value in training.model_dump().items() if name not in dropped}
    for older in mapped.values():
        values |= older.keys
    own = values.get(training.method, {})
    for name in _FILLED:
        said = own.pop(name, None)
        values[name] = next(value for value in (values[name], said, getattr(defaults, name)) if value is not None)
    settled = SettledTraining.model_validate(values)
    notes = [*(older.note for older in mapped.values()), *_unusual(settled, defaults, training.on_purpose)]
    if training.custom and training.method in METHOD_NAMES:
        notes.append(f"training.custom is for methods of other packages: {training.method} does not read it")
    return Settled(training=settled, notes=tuple(notes))


def read_settings(training: SettledTraining) -> dict[str, Any]:
    """What a training depends on, as JSON: all but the sections that its method does not read, whose defaults may change."""
    return training.model_dump(mode="json", exclude=_unread_sections(training.method))


def _sections(method: str) -> tuple[str, ...]:
    return (method, *_READ_BESIDES.get(method, ()))


def _unread_sections(method: str) -> set[str]:
    """Nobody knows what a method of another package reads."""
    return {*METHOD_NAMES, "custom"} - set(_sections(method)) if method in METHOD_NAMES else set()


def _unusual(training: SettledTraining, defaults: Defaults, purposes: Mapping[str, Purpose]) -> Iterator[str]:
    for key, value, usual, whom in _looked_at(training, defaults):
        if not usual.low <= value <= usual.high:
            said = purposes.get(f"{training.method}.{key}") or purposes.get(key)
            ordinary = f"usual{whom} is {usual.low:g} to {usual.high:g}"
            if said is not None and said.value == value:
                yield f"training.{key} is {value:g} on purpose: {said.why} ({ordinary})"
            else:
                yield f"training.{key} is {value:g}; {ordinary}: {usual.why}"


def _looked_at(training: SettledTraining, defaults: Defaults) -> Iterator[tuple[str, float, _Usual, str]]:
    """Key, value, usual range, and for whom it is usual."""
    low, high = defaults.usual_rates
    yield "learning_rate", training.learning_rate, _Usual(low, high, defaults.why), f" for {training.method}"
    if training.warmup_steps < 1:
        yield "warmup_steps", training.warmup_steps, _WARMUP_SHARE, ""
    sections = _sections(training.method)
    for key, usual in _USUAL.items():
        section, _, name = key.rpartition(".")
        if not section or section in sections:
            yield key, getattr(getattr(training, section) if section else training, name), usual, ""
    if "lora" in sections:
        yield "lora.lora_alpha / lora.r", training.lora.lora_alpha / training.lora.r, _ALPHA, ""


def trainer_fields(training: SettledTraining) -> dict[str, Any]:
    """Fields of `transformers.TrainingArguments` that were given besides ours: put them over ours, they are Trainer's own names."""
    return training.passed()
