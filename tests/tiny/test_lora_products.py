"""LoRA's products in split numbers of bf16: as near to the exact sum as PEFT's."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tasks.methods.lora_products import exact_products
from tests.architectures import tiny_model

IDS = torch.arange(2, 42)[None]


def tuned(dtype: torch.dtype = torch.bfloat16, **settings: Any) -> Any:
    model = get_peft_model(tiny_model("llama").to(dtype), LoraConfig(target_modules=["q_proj", "down_proj"], r=4, **settings)).eval()
    torch.manual_seed(3)
    for name, weights in model.named_parameters():
        if "lora_" in name:
            weights.data = torch.randn_like(weights, dtype=torch.float32) / 3
    return model


def layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if hasattr(module, "lora_A")]


@torch.inference_mode()
def test_a_sum_is_rounded_once_and_nowhere_else() -> None:
    layer = layers(tuned())[0]
    x = torch.randn(1, 50, 32).bfloat16()
    base, update = layer.base_layer(x), x.double() @ layer.lora_A["default"].weight.double().T
    exact = base.double() + update @ layer.lora_B["default"].weight.double().T * layer.scaling["default"]
    theirs = layer(x)
    with exact_products(layer):
        ours = layer(x)
    half_a_step = exact.abs() * 2**-8
    assert ((ours - exact).abs() <= 1.01 * half_a_step + 1e-4).all()
    assert (ours != theirs).double().mean() < 0.02
    assert (base != theirs).double().mean() > 0.9


@torch.inference_mode()
def test_afterwards_a_model_is_as_before() -> None:
    model = tuned()
    before = model(IDS).logits
    with exact_products(model):
        assert all("forward" in vars(layer) for layer in layers(model))
    assert not any("forward" in vars(layer) for layer in layers(model))
    assert torch.equal(model(IDS).logits, before)


@torch.inference_mode()
@pytest.mark.parametrize(
    "changes", [{"dtype": torch.float32}, {"use_dora": True}, {"lora_bias": True}], ids=["base of 32 bits", "DoRA", "bias"]
)
def test_other_layers_are_left_to_peft(changes: dict[str, Any]) -> None:
    model = tuned(**changes)
    with exact_products(model):
        assert not any("forward" in vars(layer) for layer in layers(model))


@torch.inference_mode()
def test_a_version_that_is_switched_off_stays_off() -> None:
    model = tuned()
    with model.disable_adapter():
        bare = model(IDS).logits
        with exact_products(model):
            assert torch.equal(model(IDS).logits, bare)
    assert not torch.equal(model(IDS).logits, bare)
