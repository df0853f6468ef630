"""Liger's kernels for norms, rotary embeddings and feed-forward layers, on a GPU where `liger-kernel` is installed.

Its fused loss is left out: ours is computed on the tokens that carry it and on nothing else. So is Trainer's own switch, which would put
that loss in, comes after the check of the layouts, and passes over models that are not transformers' own.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from pipeline_config.errors import ModelError


def use_liger(model: Any, wanted: bool | None, loss: Callable[[], float], tolerance: float) -> str | None:
    """Puts the kernels into a base, before a method is attached to it.

    They replace transformers' own for the whole process and cannot be taken out again, so a difference ends the run.

    Args:
        wanted: `training.use_liger_kernel`; null: wherever they can be had.
        loss: the base's loss on some padded rows; called before and after.
        tolerance: largest relative difference of the two.

    Returns:
        What was done, for a note; null where nobody asked and there is nothing to say.

    Raises:
        ModelError: the loss is another one with these kernels.
    """
    if wanted is False:
        return None
    missing = _missing(model)
    if missing is not None:
        return f"Liger's kernels are not used: {missing}" if wanted or model.device.type == "cuda" else None
    liger = importlib.import_module("liger_kernel.transformers.monkey_patch")
    before = loss()
    liger._apply_liger_kernel_to_instance(model, cross_entropy=False, fused_linear_cross_entropy=False)
    after = loss()
    if not abs(after - before) <= tolerance * abs(before):
        raise ModelError(
            f"with Liger's kernels the loss is {after:.6g}", where=model.config.model_type, expected=f"{before:.6g}",
            hint="set training.use_liger_kernel to false, or install another version of liger-kernel",
        )  # fmt: skip
    return "Liger's kernels are used for norms, rotary embeddings and feed-forward layers"


def _missing(model: Any) -> str | None:
    if model.device.type != "cuda":
        return "there is no CUDA device"
    if importlib.util.find_spec("liger_kernel") is None:
        return "liger-kernel is not installed"
    known = importlib.import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    return None if model.config.model_type in known else f"it has none for {model.config.model_type}"
