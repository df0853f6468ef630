"""What each training method can be told: one section a method, under PEFT's and bitsandbytes' own names."""

import contextlib
import difflib
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline_config import peft_names
from pipeline_config.passing import Names, OpenSection

BuiltIn = Literal["full", "lora", "qlora", "prefix", "prompt", "adapter", "ia3"]
"""The seven methods that come with tunegate."""

RANKS: dict[str, int] = {"simple": 8, "general": 16, "complex": 64}
"""Ranks of `training.lora.preset`: by how far the task is from what the base can do already."""


def _targets(value: Any) -> Any:
    """A word that we know, a list of module names, or a regular expression as PEFT takes it; a bare word is none."""
    words = ("attention", "all-linear")
    names_only = isinstance(value, list | tuple) and value and all(isinstance(name, str) and name for name in value)
    if names_only or value in words or (isinstance(value, str) and re.search(r"[.*|(\[\\]", value)):
        return value
    close = difflib.get_close_matches(str(value), words, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise ValueError(f"expected `attention`, `all-linear`, a list of module names, or a regular expression over full names{hint}")


def _names(value: Any) -> Any:
    """Module names, or one regular expression."""
    if value is None or (isinstance(value, str) and value):
        return value
    if isinstance(value, list | tuple) and all(isinstance(name, str) and name for name in value):
        return value
    raise ValueError("expected a list of module names or a regular expression")


def _init(value: Any) -> Any:
    if value in ("eva", "corda", "loftq", "lora_ga"):
        raise ValueError("not taken: it needs passes over data, or a base, that are not part of a run")
    return peft_names.LORA.check("init_lora_weights", value)


Targets = Annotated[str | tuple[str, ...], BeforeValidator(_targets)]
ModuleNames = Annotated[str | tuple[str, ...] | None, BeforeValidator(_names)]


class MethodSettings(OpenSection):
    """What every method's section has. A rate stands here, not in `training`, if it is right for this method only."""

    learning_rate: float | None = Field(None, gt=0, description="where `training.learning_rate` is null; null: the method's default")
    epochs: float | None = Field(None, ge=0, description="where `training.epochs` is null; null: the method's default")

    def for_peft(self) -> dict[str, Any]:
        """Every setting that PEFT's class has too, under its name: what is declared here and what was passed."""
        known = self.names.known()
        declared = {name: getattr(self, name) for name in type(self).model_fields if name in known}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in declared.items()} | self.passed()


class FullSettings(MethodSettings):
    """All weights of the base are trained."""


class LoraSettings(MethodSettings):
    """Fields of `peft.LoraConfig`, for LoRA and for QLoRA."""

    names: ClassVar[Names] = peft_names.LORA
    preset: Literal["simple", "general", "complex"] | None = Field(None, description="rank 8, 16 or 64; in place of `r`")
    r: int = Field(RANKS["general"], ge=1)
    lora_alpha: int = Field(2 * RANKS["general"], ge=1, description="default: 2 x r")
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: Targets = Field(
        "all-linear", description="projections that get an adapter: `attention`, `all-linear`, a list of names or a regular expression"
    )
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: Annotated[bool | str, BeforeValidator(_init)] = Field(
        True, description="`pissa`, `olora`, `gaussian` ...; true: nothing changes at the start"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_rank_and_alpha(cls, values: Any) -> Any:
        """The preset is short for a rank, and alpha follows the rank, unless they are given."""
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        rank = RANKS.get(str(filled.get("preset")))
        if filled.get("r") is None:
            filled["r"] = rank or RANKS["general"]
        elif rank is not None and filled["r"] != rank:
            raise ValueError(
                f"preset: `{filled['preset']}` is short for r = {rank}, and r is {filled['r']}: give one, and null for the other"
            )
        if filled.get("lora_alpha") is None:
            with contextlib.suppress(TypeError, ValueError):  # a rank that is no number is a fault of its own
                filled["lora_alpha"] = 2 * max(1, int(filled["r"]))
        return filled


class QloraSettings(MethodSettings):
    """Fields of `transformers.BitsAndBytesConfig`. NF4 and double quantisation are fixed: all versions are served on such a base."""

    names: ClassVar[Names] = peft_names.QLORA
    bnb_4bit_compute_dtype: Literal["bfloat16", "float32"] | None = Field(None, description="null: `model.dtype`")


class PrefixSettings(MethodSettings):
    """Fields of `peft.PrefixTuningConfig`, and where the prefix starts."""

    names: ClassVar[Names] = peft_names.PREFIX
    num_virtual_tokens: int = Field(32, ge=1)
    init: Literal["text", "random"] = Field("text", description="`text`: the keys and values that the base computes for a text")
    init_text: str | None = Field(None, min_length=1, description="the text; null: the instruction of the data")
    prefix_projection: bool = Field(False, description="compute the prefix by a small network while training")
    encoder_hidden_size: int | None = Field(None, ge=1, description="width of that network; null: the model's")


class PromptSettings(MethodSettings):
    """Fields of `peft.PromptTuningConfig`."""

    names: ClassVar[Names] = peft_names.PROMPT
    num_virtual_tokens: int = Field(64, ge=1)
    prompt_tuning_init: Literal["TEXT", "SAMPLE_VOCAB", "RANDOM"] = "TEXT"
    prompt_tuning_init_text: str | None = Field(None, min_length=1, description="null: the instruction of the data")


class AdapterSettings(MethodSettings):
    """Bottleneck adapters, which PEFT has not: the names are ours."""

    placement: Literal["houlsby", "pfeiffer"] = Field(
        "houlsby", description="`houlsby`: after attention and after the feed-forward; `pfeiffer`: after the feed-forward"
    )
    bottleneck_size: int = Field(64, ge=1, description="width between the two projections")
    activation: Literal["relu", "gelu", "silu"] = "gelu"
    dropout: float = Field(0.05, ge=0, lt=1, description="on the bottleneck's input")


class Ia3Settings(MethodSettings):
    """Fields of `peft.IA3Config`."""

    names: ClassVar[Names] = peft_names.IA3
    target_modules: ModuleNames = Field(None, description="null: keys, values and the feed-forward's last projection")
    feedforward_modules: ModuleNames = Field(None, description="those of them whose input is scaled; null: the feed-forward's last")
