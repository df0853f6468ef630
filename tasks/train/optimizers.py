"""Which optimizer a run gets on this machine."""

_UNPAGED = {"paged_adamw_32bit": "adamw_torch_fused", "paged_ademamix_32bit": "ademamix"}
"""Paged optimizers whose plain version is not named by leaving `paged_` out."""


def choose_optimizer(wanted: str | None, *, quantized: bool, cuda: bool) -> tuple[str, str | None]:
    """The name of an optimizer, as `TrainingArguments.optim` takes it, and what a person should know about the choice.

    With a quantised base it is bitsandbytes' paged AdamW with eight-bit state (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314,
    section 3): its state moves to the host's memory when the GPU's is full. Without a GPU there is nothing to move, and plain state is
    more exact.
    """
    name = wanted or ("paged_adamw_8bit" if quantized else "adamw_torch_fused")
    if cuda or not name.startswith("paged_"):
        return name, None
    plain = _UNPAGED.get(name, name.removeprefix("paged_")) if wanted else "adamw_torch_fused"
    return plain, f"paged optimizers need a CUDA device and there is none: {plain} takes the place of {name}"
