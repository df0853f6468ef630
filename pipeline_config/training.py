"""How the model is adapted: method, optimisation, stopping."""

import difflib
import re
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from pipeline_config.base import Section
from pipeline_config.methods import (
    AdapterSettings,
    BuiltIn,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    MethodSettings,
    PrefixSettings,
    PromptSettings,
    QloraSettings,
)
from pipeline_config.passing import Names, OpenSection
from pipeline_config.trainer_names import TRAINER

METHOD_NAMES: tuple[str, ...] = get_args(BuiltIn)


def _method(value: Any) -> Any:
    if value in METHOD_NAMES or (isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value)):
        return value
    close = difflib.get_close_matches(str(value), METHOD_NAMES, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise ValueError(f"expected one of {', '.join(METHOD_NAMES)}, or `package.module:NAME` for a method of another package{hint}")


def _scheduler(value: Any) -> Any:
    return None if value is None else TRAINER.check("lr_scheduler_type", value)


class Purpose(Section):
    """A value outside its usual range that was chosen for these rows and this base, and why. With another value it says nothing."""

    value: float
    why: str = Field(min_length=1)


class TrainingConfig(OpenSection):
    """Optimisation, under the names of `transformers.TrainingArguments` where it has one. Null: the method's default.

    Further fields of `TrainingArguments` are taken under their own names; see `trainer_names`.
    """

    names: ClassVar[Names] = TRAINER
    method: Annotated[str, BeforeValidator(_method)] = Field(
        "lora", description="full, lora, qlora, prefix, prompt, adapter, ia3, or `package.module:NAME`"
    )
    full: FullSettings = FullSettings()
    lora: LoraSettings = LoraSettings()
    qlora: QloraSettings = QloraSettings()
    prefix: PrefixSettings = PrefixSettings()
    prompt: PromptSettings = PromptSettings()
    adapter: AdapterSettings = AdapterSettings()
    ia3: Ia3Settings = Ia3Settings()
    custom: dict[str, JsonValue] = Field({}, description="settings of a method of another package, which checks them itself")
    epochs: float | None = Field(
        None, ge=0, description="passes over the training rows (`num_train_epochs`), whatever the method; 0 leaves the weights untrained"
    )
    learning_rate: float | None = Field(None, gt=0, description="whatever the method; a rate for one method stands in its own section")
    per_device_train_batch_size: int = Field(8, ge=1, description="rows packed into one forward pass")
    gradient_accumulation_steps: int = Field(1, ge=1)
    warmup_steps: float | None = Field(None, ge=0, description="below 1 a share of all steps, else a number of steps")
    lr_scheduler_type: Annotated[str | None, BeforeValidator(_scheduler)] = None
    weight_decay: float | None = Field(None, ge=0)
    max_grad_norm: float | None = Field(None, gt=0)
    evals_per_epoch: int = Field(2, ge=1, description="validation passes, each with a checkpoint, in one epoch")
    early_stopping_patience: int | None = Field(
        3, ge=1, description="validation passes without improvement before training stops; null: never"
    )
    load_best_model_at_end: bool = Field(True, description="ship the checkpoint with the lowest validation loss, not the last one")
    on_purpose: dict[str, Purpose] = Field(
        {}, description="why a value is unusual, by key, such as `lora.learning_rate`; a run's notes say it"
    )
    seed: int = Field(17, ge=0, description="seed of adapter initialisation, row order and dropout")

    @property
    def own_settings(self) -> MethodSettings | None:
        """The section of the chosen method; null for a method of another package."""
        section: MethodSettings | None = getattr(self, self.method, None) if self.method in METHOD_NAMES else None
        return section

    @model_validator(mode="after")
    def _settings_go_together(self) -> "TrainingConfig":
        saves_memory = [name for name in ("gradient_checkpointing", "activation_checkpointing") if self.passed().get(name)]
        if self.method == "prefix" and saves_memory:
            raise ValueError(
                f"`{saves_memory[0]}` computes layers a second time without the prefix's keys and values: not with prefix tuning"
            )
        if self.passed().get("train_sampling_strategy") == "batch_rebalance":
            raise ValueError("`train_sampling_strategy: batch_rebalance` spreads rows over processes, and training runs in one")
        unknown = [key for key in self.on_purpose if not self._has(key)]
        if unknown:
            raise ValueError(f"`on_purpose.{unknown[0]}`: there is no key `training.{unknown[0]}`")
        start = str(self.lora.init_lora_weights)
        if self.method == "qlora" and start.startswith(("pissa", "olora", "mica")):
            raise ValueError(f"`lora.init_lora_weights: {start}` works on the base's weights, which QLoRA has in 4 bits: use method `lora`")
        return self

    def _has(self, key: str) -> bool:
        section, _, name = key.rpartition(".")
        holder = getattr(self, section, None) if section in METHOD_NAMES else self if not section else None
        return isinstance(holder, OpenSection) and name in type(holder).model_fields


class SettledTraining(TrainingConfig):
    """A training configuration whose nulls are filled: only such a one is trained with. `tasks.methods.settings.settle` makes it."""

    epochs: float = Field(ge=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: float = Field(ge=0)
    lr_scheduler_type: Annotated[str, BeforeValidator(_scheduler)]
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
