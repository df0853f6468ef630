"""How well a model predicts expected answers: nats and tokens of each row, so that any weighting can be made of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.batching import Layout, to_device
from tasks.chat import EncodedRow

if TYPE_CHECKING:
    import torch


class RowLoss(NamedTuple):
    """Cross-entropy of a row's answer in nats, summed over its tokens; `nats` may be NaN or infinite."""

    nats: float
    tokens: int


def perplexity_of(mean_loss: float | None) -> float | None:
    """exp of a mean loss in nats; null where that is not a finite number."""
    if mean_loss is None or not math.isfinite(mean_loss):
        return None
    try:
        return math.exp(mean_loss)
    except OverflowError:
        return None


def windowed(row: EncodedRow, window: int) -> list[EncodedRow]:
    """A row in pieces that fit into a model's window, each half a window further on than the one before.

    Each token that carries loss does so in one piece, the first that holds it; from the second piece on it has at least half a window
    before it.

    Args:
        window: tokens that the model can look at, at least 2.
    """
    ids = [*row["prompt_ids"], *row["completion_ids"]]
    if len(ids) <= window:
        return [row]
    carries = [*[False] * len(row["prompt_ids"]), *row["supervised"]]
    pieces, seen = list[EncodedRow](), 0
    for start in range(0, len(ids), window // 2):
        end = min(start + window, len(ids))
        own = [place for place in range(seen, end) if carries[place]]
        if own:
            supervised = [carries[place] for place in range(own[0], end)]
            pieces.append(
                {"row_id": row["row_id"], "prompt_ids": ids[start : own[0]], "completion_ids": ids[own[0] : end], "supervised": supervised}
            )
        seen = end
        if end == len(ids):
            break
    return pieces


def row_losses(
    layout: Layout, model: Any, rows: Sequence[EncodedRow], *, rows_per_batch: int, pad_id: int, window: int | None = None
) -> list[RowLoss]:
    """Loss of each row; how rows fall into batches does not change it.

    Args:
        window: tokens that the model can look at; longer rows are measured piece by piece (:func:`windowed`). Null: no limit.
    """
    import torch

    pieces = [(at, piece) for at, row in enumerate(rows) for piece in (windowed(row, window) if window else [row])]
    nats, tokens = [0.0] * len(rows), [0] * len(rows)
    with torch.no_grad():
        for start in range(0, len(pieces), rows_per_batch):
            chosen = pieces[start : start + rows_per_batch]
            batch = to_device(layout.collate([piece for _, piece in chosen], pad_id), model.device)
            sizes = [sum(piece["supervised"]) for _, piece in chosen]
            for (at, _), part in zip(chosen, torch.split(_token_losses(layout, model, batch), sizes), strict=True):
                nats[at] += part.double().sum().item()
                tokens[at] += len(part)
    return [RowLoss(*loss) for loss in zip(nats, tokens, strict=True)]


def _token_losses(layout: Layout, model: Any, batch: dict[str, Any]) -> "torch.Tensor":
    """In nats, in fp32, of the batch's targets in the order of its rows."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(layout.logits(model, batch).float(), batch["labels"][0], reduction="none")
