"""Finds the rows that spoil a step."""

import math
from collections.abc import Callable, Sequence

import torch

from pipeline_config.errors import TrainingError
from tasks.chat import EncodedRow

_NAMED = 8


def spoiled(what: str, rows: Sequence[EncodedRow], is_sound: Callable[[EncodedRow], bool]) -> TrainingError:
    """The error for a step whose loss or gradient is not finite. Each of its rows is tried by itself.

    Args:
        what: what is not finite, and at which step.
        is_sound: whether the same is finite for one row alone.
    """
    guilty = [row["row_id"] for row in rows if not is_sound(row)]
    if not guilty:
        where = f"rows {_names([row['row_id'] for row in rows])}: each alone is sound, together they are not"
        hint = "lower training.learning_rate"
    elif len(guilty) == len(rows):
        where, hint = f"rows {_names(guilty)}: all rows of the step", "the model has no answer to any row: lower training.learning_rate"
    else:
        where = f"rows {_names(guilty)}: {len(guilty)} of the step's {len(rows)} rows, by themselves"
        hint = "look at these rows, or take them out"
    return TrainingError(what, where=where, expected="a finite number", hint=hint)


def has_finite_gradient(loss: torch.Tensor, weights: Sequence[torch.nn.Parameter]) -> bool:
    """Whether the norm of a loss's gradient is finite. Leaves no gradient behind."""
    gradients = [gradient for gradient in torch.autograd.grad(loss, weights, allow_unused=True) if gradient is not None]
    return math.isfinite(torch.nn.utils.get_total_norm(gradients).item())


def _names(row_ids: Sequence[str]) -> str:
    more = f" and {len(row_ids) - _NAMED} more" if len(row_ids) > _NAMED else ""
    return ", ".join(row_ids[:_NAMED]) + more
