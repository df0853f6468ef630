"""What to change when a model has overfitted, in the words of the method that it was trained with."""

from tasks.artifacts import CurvePoint

KNOBS: dict[str, str] = {
    "full": "raise training.weight_decay",
    "lora": "raise training.lora.lora_dropout or lower training.lora.r",
    "qlora": "raise training.lora.lora_dropout or lower training.lora.r",
    "prefix": "lower training.prefix.num_virtual_tokens",
    "prompt": "lower training.prompt.num_virtual_tokens",
    "adapter": "raise training.adapter.dropout or lower training.adapter.bottleneck_size",
    "ia3": "name fewer modules in training.ia3.target_modules",
}
"""What holds each method back from learning its rows by heart. QLoRA reads LoRA's section."""

_ANY = "lower training.learning_rate"


def knob_of(method: str) -> str:
    """The method's own setting; for a method of another package, the one that each has."""
    return KNOBS.get(method, _ANY)


def against_rebound(method: str, best: CurvePoint, *, first: bool, shipped: bool) -> str:
    """For a checkpoint that ran past the best one.

    Args:
        best: the point with the smallest validation loss.
        first: it is the first of several points, so the smallest loss may lie before it.
        shipped: it ships, so that a better one can only be found by a better validation set.
    """
    if shipped:
        return f"give more validation rows (data.split.validation_fraction), train fewer epochs (training.epochs), or {knob_of(method)}"
    if first:
        return f"{_ANY}, validate more often (training.evals_per_epoch), or {knob_of(method)}"
    return (
        "ship the best checkpoint (training.load_best_model_at_end), stop early (training.early_stopping_patience), "
        f"or train about {best.epoch:.1f} epochs (training.epochs)"
    )


def against_gap(method: str) -> str:
    """For training rows that are known better than test rows, while the loss on unseen rows is still about as small as it was."""
    return f"give more training rows, or {knob_of(method)}"


def against_leak() -> str:
    """For validation rows that the model knows."""
    return "keep rows that say the same on one side (data.split.group_column, a lower data.split.near_jaccard)"


def against_memory(method: str) -> str:
    """For sentences that were learnt by heart from one look."""
    return f"train fewer epochs (training.epochs), or {knob_of(method)}"


def against_wording() -> str:
    """For training rows whose wording is known better than their meaning."""
    return "augment more rows, in more ways"
