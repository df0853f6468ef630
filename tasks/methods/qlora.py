"""QLoRA: LoRA on a base whose projections are in 4 bits (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314).

The base is NF4 with double quantisation, quantised from its 16-bit file whenever it is loaded: the same file gives the same bytes. All
else, norms and embeddings too, stays as the file has it, for that is how the base is served.
"""

from typing import Any

from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.methods import lora, peft_tree
from tasks.methods.defaults import Defaults
from tasks.methods.method import Method, TaskText


def _attach(model: Any, training: TrainingConfig, text: TaskText | None = None) -> Any:
    """LoRA on a base in 4 bits.

    Raises:
        ConfigError: the base is not in 4 bits, or products shall be computed in another precision than served.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        raise ConfigError("the base is not in 4 bits", where="training.method", expected="a base that was loaded with quantization 'nf4'")
    wanted, dtype = training.qlora.bnb_4bit_compute_dtype, str(model.config.dtype).removeprefix("torch.")
    if wanted not in (None, dtype):
        raise ConfigError(
            f"products in {wanted} on a base in {dtype}", where="training.qlora.bnb_4bit_compute_dtype", expected=f"{dtype}, or null",
            hint="evaluation and serving compute in model.dtype: set that",
        )  # fmt: skip
    return lora.attach(model, training)


_DEFAULTS = Defaults(
    learning_rate=3e-4, usual_rates=(2e-4, 5e-4), why="below it rounding of the base hides the step, above it training becomes unstable"
)

METHOD = Method(
    name="qlora", kind="lora", quantization="nf4", defaults=_DEFAULTS, vllm=True, attach=_attach, save=lora.save, load=peft_tree.load,
    activate=peft_tree.activate, unload=peft_tree.unload, merge=peft_tree.merge,
)  # fmt: skip
