"""The optimizer that a run gets, and what is said about it."""

import pytest

from tasks.train.optimizers import choose_optimizer


@pytest.mark.parametrize(
    ("wanted", "quantized", "cuda", "name", "said"),
    [
        (None, False, True, "adamw_torch_fused", False),
        (None, False, False, "adamw_torch_fused", False),
        (None, True, True, "paged_adamw_8bit", False),
        (None, True, False, "adamw_torch_fused", True),
        ("paged_adamw_32bit", True, False, "adamw_torch_fused", True),
        ("paged_adamw_8bit", False, False, "adamw_8bit", True),
        ("paged_ademamix_32bit", False, False, "ademamix", True),
        ("paged_lion_8bit", False, False, "lion_8bit", True),
        ("paged_lion_8bit", False, True, "paged_lion_8bit", False),
        ("adafactor", True, False, "adafactor", False),
        ("adamw_8bit", True, False, "adamw_8bit", False),
    ],
)
def test_the_choice(wanted: str | None, quantized: bool, cuda: bool, name: str, said: bool) -> None:
    chosen, note = choose_optimizer(wanted, quantized=quantized, cuda=cuda)
    assert chosen == name
    assert (note is not None) == said
    assert note is None or name in note


def test_every_fallback_is_an_optimizer_that_trainer_knows() -> None:
    from transformers.training_args import OptimizerNames

    known = {one.value for one in OptimizerNames}
    paged = [name for name in known if name.startswith("paged_")]
    assert len(paged) >= 6
    assert all(choose_optimizer(name, quantized=False, cuda=False)[0] in known for name in paged)
