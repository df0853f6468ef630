"""From encoded rows to one forward pass: packed under a block mask with a shared prefix, or padded. Training and evaluation use the same.

A packed batch is one sequence: the tokens that all prompts start with, once, then what is left of each row.

    tokens     p p p | a a a | b b b b
    positions  0 1 2 | 3 4 5 | 3 4 5 6
    a row sees the prefix and itself, causally; never another row.

Attention follows either a mask over the whole sequence ("packed") or the rows themselves ("blocks"), which costs less unless one row is
much longer than the others. On a CUDA device a kernel is told the rows' lengths ("varlen", "flex").

Logits are computed only where a token that carries loss is predicted. Loss and gradients equal those of the padded batch (dropout aside:
on a shared prefix all rows of a batch share one dropout mask).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, takewhile
from typing import TYPE_CHECKING, Any

from tasks.attention import Blocks, make_blocks
from tasks.attention_cuda import FLEX as FLEX_KERNEL
from tasks.attention_cuda import VARLEN as VARLEN_KERNEL
from tasks.attention_masks import has_window, masks_by_layer, other_window
from tasks.loss import summed_cross_entropy

if TYPE_CHECKING:
    import torch

    from tasks.artifacts import LayoutName
    from tasks.chat import EncodedRow

Batch = dict[str, Any]
"""Tensors of one forward pass. `labels` and `shift_labels` hold the targets, shape (1, targets); `keep` the positions before them."""


@dataclass(frozen=True)
class Layout:
    """A way to lay rows out, and the logits of its targets, shape (targets, vocabulary)."""

    name: "LayoutName"
    collate: Callable[[Sequence["EncodedRow"], int], Batch]
    logits: Callable[[Any, Batch], "torch.Tensor"]


def shared_prefix_length(rows: Sequence["EncodedRow"]) -> int:
    """Number of leading prompt tokens that all rows share; one prompt token stays with each row, to predict its first answer token."""
    return common_prefix_length([row["prompt_ids"] for row in rows])


def common_prefix_length(prompts: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all prompts share, at most one less than the shortest has."""
    columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def pack(rows: Sequence["EncodedRow"], pad_id: int) -> Batch:
    """Lays rows out as one sequence of shape (1, tokens) with a boolean mask of shape (1, 1, tokens, tokens)."""
    shared = shared_prefix_length(rows)
    return {**_one_sequence(rows, shared), "attention_mask": _row_mask(_own_lengths(rows, shared), shared)}


def pack_in_blocks(rows: Sequence["EncodedRow"], pad_id: int) -> Batch:
    """As :func:`pack`, with `tasks.attention.Blocks` in place of the mask where that is less work."""
    shared = shared_prefix_length(rows)
    lengths = _own_lengths(rows, shared)
    return _without_mask(rows, shared, make_blocks(lengths, shared)) if _save_work(lengths, shared) else pack(rows, pad_id)


def _save_work(lengths: Sequence[int], shared: int) -> bool:
    """Whether blocks of rows that are this long behind their prefix have fewer scores than a mask over all."""
    return len(lengths) * max(lengths) * (shared + max(lengths)) < (shared + sum(lengths)) ** 2


def pack_for(kernel: str, rows: Sequence["EncodedRow"], pad_id: int) -> Batch:
    """As :func:`pack`, with the lengths of the rows, which are all that a kernel of `tasks.attention_cuda` needs, in place of the mask."""
    import torch

    shared = shared_prefix_length(rows)
    return _without_mask(rows, shared, {kernel: torch.tensor(_own_lengths(rows, shared))})


def _without_mask(rows: Sequence["EncodedRow"], shared: int, blocks: Blocks) -> Batch:
    import torch

    # An attention that looks at a mask all the same finds that nothing is visible, and its loss is not a number.
    nothing = torch.zeros(1, 1, 1, 1, dtype=torch.bool)
    return {**_one_sequence(rows, shared), "attention_mask": nothing, "blocks": blocks}


def _own_lengths(rows: Sequence["EncodedRow"], shared: int) -> list[int]:
    """Tokens of each row behind the shared prefix."""
    return [len(row["prompt_ids"]) - shared + len(row["completion_ids"]) for row in rows]


def _row_mask(lengths: Sequence[int], shared: int) -> "torch.Tensor":
    import torch

    owners = torch.cat([torch.full((shared,), -1), torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))])
    visible = (owners[:, None] == owners[None, :]) | (owners[None, :] == -1)
    return visible.tril()[None, None]


def _one_sequence(rows: Sequence["EncodedRow"], shared: int) -> Batch:
    """All of a packed batch but its mask."""
    import torch

    ids: list[int] = list(rows[0]["prompt_ids"][:shared])
    positions = list(range(shared))
    keep: list[int] = []
    for row in rows:
        own = [*row["prompt_ids"][shared:], *row["completion_ids"]]
        end = len(ids) + len(own) - 1
        keep += compress(range(end - len(row["completion_ids"]), end), row["supervised"])
        ids += own
        positions += range(shared, shared + len(own))
    tokens = torch.tensor(ids)
    targets = tokens[torch.tensor(keep) + 1]
    return {
        "input_ids": tokens[None],
        "position_ids": torch.tensor(positions)[None],
        "keep": torch.tensor(keep),
        "labels": targets[None],
        "shift_labels": targets[None],
    }


def pad(rows: Sequence["EncodedRow"], pad_id: int) -> Batch:
    """Lays rows out right-padded, shape (rows, longest row), as every model understands them."""
    import torch

    whole = [[*row["prompt_ids"], *row["completion_ids"]] for row in rows]
    width = max(map(len, whole))
    keep = [
        line * width + at - 1
        for line, (row, ids) in enumerate(zip(rows, whole, strict=True))
        for at in compress(range(len(row["prompt_ids"]), len(ids)), row["supervised"])
    ]
    tokens = torch.tensor([ids + [pad_id] * (width - len(ids)) for ids in whole])
    targets = tokens.flatten()[torch.tensor(keep) + 1]
    return {
        "input_ids": tokens,
        "position_ids": torch.arange(width).expand(len(whole), width),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in whole]),
        "keep": torch.tensor(keep),
        "labels": targets[None],
        "shift_labels": targets[None],
    }


def _packed_logits(model: Any, batch: Batch) -> "torch.Tensor":
    output = model(**_inputs(batch) | _packed_mask(model, batch), logits_to_keep=batch["keep"], use_cache=False)
    return output.logits[0]  # type: ignore[no-any-return]


def _packed_mask(model: Any, batch: Batch) -> Batch:
    """The mask over the whole sequence as this model's layers need it; in blocks, the window is the attention's business."""
    if "blocks" in batch:
        return {}
    config, positions = getattr(model, "module", model).config, batch["position_ids"][0]
    return {"attention_mask": masks_by_layer(config, batch["attention_mask"], positions[:, None] - positions[None, :])}


def _padded_logits(model: Any, batch: Batch) -> "torch.Tensor":
    output = model(**_inputs(batch), use_cache=False)
    return output.logits.flatten(0, 1)[batch["keep"]]  # type: ignore[no-any-return]


def _inputs(batch: Batch) -> Batch:
    return {name: batch[name] for name in ("input_ids", "position_ids", "attention_mask", "blocks") if name in batch}


VARLEN = Layout("varlen", partial(pack_for, VARLEN_KERNEL), _packed_logits)
FLEX = Layout("flex", partial(pack_for, FLEX_KERNEL), _packed_logits)
BLOCKS = Layout("blocks", pack_in_blocks, _packed_logits)
PACKED = Layout("packed", pack, _packed_logits)
PADDED = Layout("padded", pad, _padded_logits)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (VARLEN, FLEX, BLOCKS, PACKED, PADDED)}
"""Fastest first. The first two need a CUDA device."""


def summed_loss(layout: Layout, model: Any, batch: Batch) -> "torch.Tensor":
    """Cross-entropy in nats, in fp32, summed over the batch's targets."""
    return summed_cross_entropy(layout.logits(model, batch), batch["labels"][0])


def mean_loss(layout: Layout, model: Any, rows: Sequence["EncodedRow"], *, rows_per_batch: int, pad_id: int) -> float:
    """Mean cross-entropy in nats over all tokens that carry loss; how rows fall into batches does not change it."""
    import torch

    total, targets = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), rows_per_batch):
            batch = to_device(layout.collate(rows[start : start + rows_per_batch], pad_id), model.device)
            total += summed_loss(layout, model, batch).item()
            targets += batch["labels"].numel()
    return total / targets


def to_device(batch: Batch, device: Any) -> Batch:
    """Moves a batch's tensors."""
    return {name: to_device(value, device) if isinstance(value, dict) else value.to(device) for name, value in batch.items()}


@dataclass(frozen=True)
class Refusal:
    """Why a layout is not used for a model."""

    layout: "LayoutName"
    why: str


@dataclass(frozen=True)
class LayoutChoice:
    """A layout, and what was wrong with each faster one."""

    layout: Layout
    refused: tuple[Refusal, ...]


def rows_to_check(rows: Sequence["EncodedRow"], most_tokens: int) -> list["EncodedRow"]:
    """Rows of different lengths to try layouts on: the shortest, the longest, and two between.

    Of the longest so many are passed over that the four, padded, are `most_tokens` at most, lest the check takes more memory than training
    does, and that blocks hold them: beside one that is much longer, the others would be laid out under a mask, and blocks not tried at all.
    If no four do, it is two: enough for one to see the other where it must not.
    """
    by_length = sorted(rows, key=_length)
    for count in (4, 2):
        for share in (1.0, 0.9, 0.75, 0.5, 0.25):
            places = {round(share * (len(rows) - 1) * part / (count - 1)) for part in range(count)}
            chosen = [by_length[place] for place in sorted(places)]
            shared = shared_prefix_length(chosen)
            fits = len(chosen) * _length(chosen[-1]) <= most_tokens
            if fits and len(chosen) > 1 and _save_work(_own_lengths(chosen, shared), shared):
                return chosen
    return by_length[:2]


def _length(row: "EncodedRow") -> int:
    return len(row["prompt_ids"]) + len(row["completion_ids"])


def choose_layout(model: Any, rows: Sequence["EncodedRow"], pad_id: int, *, tolerance: float) -> LayoutChoice:
    """The fastest layout that gives this model the loss and the gradients of padded rows.

    A model with a sliding window is asked twice: as it is, and with a window that is shorter than the rows, so that a layout that loses the
    window is found out. Rows longer than the true window may be rare, and of thousands of tokens only a few would be outside.

    Args:
        rows: a few rows of different lengths, such as :func:`rows_to_check` picks. All are used at once.
        tolerance: largest relative difference of the two losses; rounding in bf16 needs about 1e-2, fp32 1e-5. The norm of the gradient
            may differ by ten times as much.
    """
    was_training, refused = model.training, []
    model.eval()
    wanted = {window: _measure(PADDED, model, rows, pad_id, window) for window in _windows_to_try(model, rows)}
    for layout in _candidates(model.device):
        why = None if layout is PADDED else _difference(layout, model, rows, pad_id, wanted, tolerance)
        if why is None:
            break
        refused.append(Refusal(layout.name, why))
    model.train(was_training)
    return LayoutChoice(layout, tuple(refused))


def _candidates(device: Any) -> list[Layout]:
    on_cuda = device.type == "cuda"
    return [layout for layout in LAYOUTS.values() if on_cuda or layout not in (VARLEN, FLEX)]


def _windows_to_try(model: Any, rows: Sequence["EncodedRow"]) -> list[int | None]:
    return [None, max(2, min(map(_length, rows)) // 2)] if has_window(model) else [None]


def _measure(layout: Layout, model: Any, rows: Sequence["EncodedRow"], pad_id: int, window: int | None) -> dict[str, float]:
    """Mean loss, and the norm of its gradient in all that is trained (0 where nothing is)."""
    import torch

    batch = to_device(layout.collate(rows, pad_id), model.device)
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    with other_window(model, window):
        loss = summed_loss(layout, model, batch) / batch["labels"].numel()
        gradients = torch.autograd.grad(loss, trained, allow_unused=True) if trained else ()
    norms = [gradient.float().norm() for gradient in gradients if gradient is not None]
    return {"loss": loss.item(), "gradient norm": torch.stack(norms).norm().item() if norms else 0.0}


def _difference(
    layout: Layout, model: Any, rows: Sequence["EncodedRow"], pad_id: int, wanted: dict[int | None, dict[str, float]], tolerance: float
) -> str | None:
    """What is wrong with a layout, in words."""
    for window, padded in wanted.items():
        try:
            got = _measure(layout, model, rows, pad_id, window)
        # Models and kernels of all kinds refuse in ways of their own what they cannot do.
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            return f"{type(error).__name__}: {error}"
        for name, allowed in (("loss", tolerance), ("gradient norm", 10 * tolerance)):
            # Written so that what is not a number agrees with nothing.
            if not abs(got[name] - padded[name]) <= allowed * abs(padded[name]):
                where = f", with a window of {window}" if window else ""
                return f"{name} {got[name]:.6g} where padded rows have {padded[name]:.6g}{where}"
    return None
