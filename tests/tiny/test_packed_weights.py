"""Weights laid out for the kernel: the same products, and nothing is left behind."""

from typing import Any

import pytest
import torch

from tasks import packed_weights as module
from tasks.packed_weights import packed_weights
from tests.architectures import tiny_model

IDS = torch.arange(2, 42)[None]
KERNEL = pytest.mark.skipif(not module._has_kernel(), reason="this processor has no kernel for bf16")


def model(dtype: torch.dtype = torch.bfloat16) -> Any:
    return tiny_model("qwen2").to(dtype).eval()  # some of its projections have a bias


def changed(model: Any) -> list[str]:
    return [name for name, layer in model.named_modules() if "forward" in vars(layer)]


@KERNEL
@torch.inference_mode()
def test_the_model_computes_the_same_and_afterwards_is_as_before() -> None:
    ours = model()
    wanted = ours(IDS).logits
    with packed_weights(ours):
        assert set(changed(ours)) == {name for name, layer in ours.named_modules() if type(layer) is torch.nn.Linear}
        packed = ours(IDS).logits
    assert not changed(ours)
    torch.testing.assert_close(packed, wanted, rtol=2**-7, atol=2**-7 * wanted.abs().max().item())
    assert torch.equal(ours(IDS).logits, wanted)


@KERNEL
def test_a_failure_inside_leaves_the_model_as_before() -> None:
    ours = model()
    with pytest.raises(KeyError), packed_weights(ours):
        raise KeyError
    assert not changed(ours)


def test_other_precisions_are_left_alone() -> None:
    ours = model(torch.float32)
    with packed_weights(ours):
        assert not changed(ours)


def test_a_large_model_is_not_held_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = model()
    monkeypatch.setattr(module, "_MOST", 1000)
    with packed_weights(ours):
        assert not changed(ours)


@KERNEL
def test_somebody_elses_change_of_a_layer_stays() -> None:
    ours = model()
    theirs = ours.lm_head.forward = lambda x: x
    with packed_weights(ours):
        assert ours.lm_head.forward is theirs
    assert changed(ours) == ["lm_head"]
