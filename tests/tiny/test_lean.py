"""What training computes in its own way is what the models' own layers compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from tasks.loss import summed_cross_entropy
from tasks.methods.low_rank import use_low_rank_update
from tasks.train.lean import use_lean_layers

TARGETS = ["q_proj", "v_proj", "o_proj"]


def llama() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def adapted(**settings: Any) -> Any:
    """A tiny Llama with LoRA whose weights are all random: fresh ones change nothing."""
    model = get_peft_model(llama(), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, target_modules=TARGETS, **settings))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weights, std=0.3)
    return model


def loss_and_gradients(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    ids = torch.arange(5, 45).view(2, 20)
    loss = model(ids, labels=ids).loss
    loss.backward()
    return loss, {name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None}


def require_same(model: Any, change: Callable[[Any], int], changed: int, tolerance: float) -> None:
    loss, gradients = loss_and_gradients(model)
    assert change(model) == changed
    own_loss, own_gradients = loss_and_gradients(model)
    torch.testing.assert_close(own_loss, loss, rtol=tolerance, atol=tolerance)
    assert own_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert (own_gradients[name] - gradient).norm() <= tolerance * gradient.norm(), name


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])
def test_low_rank_updates_give_the_loss_and_gradients_that_peft_gives(dtype: torch.dtype, tolerance: float) -> None:
    model = adapted().to(dtype)
    for name, weights in model.named_parameters():
        if "lora_" in name:
            weights.data = weights.data.float()
    require_same(model, use_low_rank_update, len(TARGETS) * model.config.num_hidden_layers, tolerance)


def test_masters_get_gradients_in_their_own_precision() -> None:
    model = adapted().to(torch.bfloat16)
    for name, weights in model.named_parameters():
        if "lora_" in name:
            weights.data = weights.data.float()
    use_low_rank_update(model)
    assert {gradient.dtype for gradient in loss_and_gradients(model)[1].values()} == {torch.float32}


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_bias": True}])
def test_layers_of_a_variant_stay_as_they_are(settings: dict[str, bool]) -> None:
    assert use_low_rank_update(adapted(**settings)) == 0


def test_dropout_falls_on_the_update_alone() -> None:
    model, ids = adapted(lora_dropout=1.0).train(), torch.arange(5, 25)[None]
    use_low_rank_update(model)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, llama()(ids).logits)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])
def test_lean_layers_give_the_loss_and_gradients_of_the_models_own(dtype: torch.dtype, tolerance: float) -> None:
    model = adapted().to(dtype)
    layers = model.config.num_hidden_layers
    require_same(model, use_lean_layers, 3 * layers + 1, tolerance)


def test_lean_layers_keep_less_for_the_backward_pass() -> None:
    model = adapted().to(torch.bfloat16)
    before = kept_bytes(model)
    use_lean_layers(model)
    assert kept_bytes(model) < 0.8 * before


def kept_bytes(model: Any) -> int:
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    ids = torch.arange(5, 45).view(2, 20)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(ids, labels=ids).loss
    own = {weights.untyped_storage().data_ptr() for weights in model.parameters()}
    assert loss.requires_grad
    return sum(size for where, size in kept.items() if where not in own)


def test_norms_that_scale_in_another_way_stay_as_they_are() -> None:
    norms = nn.ModuleList([Gemma2RMSNorm(8), LlamaRMSNorm(8)])
    norms.requires_grad_(False)
    nn.init.normal_(norms[0].weight)
    assert use_lean_layers(norms) == 1
    assert "forward" not in vars(norms[0])


def test_norms_that_are_trained_stay_as_they_are() -> None:
    assert use_lean_layers(nn.ModuleList([LlamaRMSNorm(8)])) == 0


def test_gates_of_another_kind_stay_as_they_are() -> None:
    base = llama()
    for layer in base.model.layers:
        layer.mlp.act_fn = nn.GELU()
    base.requires_grad_(False)
    assert use_lean_layers(base) == 2 * len(base.model.layers) + 1


@pytest.mark.parametrize("targets", [1, 32, 75])
def test_summed_cross_entropy_is_torchs_own(targets: int) -> None:
    torch.manual_seed(0)
    logits, wanted = torch.randn(targets, 50, requires_grad=True), torch.randint(50, (targets,))
    ours = summed_cross_entropy(logits, wanted)
    theirs = nn.functional.cross_entropy(logits, wanted, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    [gradient], [expected] = torch.autograd.grad(3 * ours, logits), torch.autograd.grad(3 * theirs, logits)
    torch.testing.assert_close(gradient, expected)
