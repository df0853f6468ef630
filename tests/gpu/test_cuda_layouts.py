"""On a CUDA device: its kernels give the loss and the gradients of padded rows. Needs torch, transformers and peft, and nothing else."""

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from tasks.batching import BLOCKS, FLEX, PACKED, PADDED, VARLEN, Layout, choose_layout, mean_loss, summed_loss, to_device
from tasks.methods.soft import SoftPromptModel
from tasks.train.liger import use_liger
from tests.architectures import FAMILIES, random_rows, tiny_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

ROWS = random_rows(40, [200, 150, 90, 300])
# The kernels have no heads smaller than 16, and flash attention knows 16 bits only.
SIZE = {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
FAMILY = pytest.mark.parametrize("family", FAMILIES)


@pytest.mark.parametrize("layout", [FLEX, BLOCKS, PACKED], ids=lambda layout: layout.name)
@FAMILY
def test_loss_and_gradients_in_fp32_equal_those_of_padded_rows(family: str, layout: Layout) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    fast, padded = tiny_model(family, **SIZE).cuda(), tiny_model(family, **SIZE).cuda()
    ours, theirs = (summed_loss(way, m, to_device(way.collate(ROWS, 0), m.device)) for way, m in ((layout, fast), (PADDED, padded)))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)
    ours.backward()
    theirs.backward()
    for (name, got), wanted in zip(fast.named_parameters(), padded.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("layout", [VARLEN, FLEX], ids=lambda layout: layout.name)
@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"gemma2"}))
def test_loss_in_bf16_is_as_near_as_rounding_allows(family: str, layout: Layout) -> None:
    model = tiny_model(family, **SIZE).bfloat16().cuda()
    loss = mean_loss(layout, model, ROWS, rows_per_batch=4, pad_id=0)
    assert loss == pytest.approx(mean_loss(PADDED, model, ROWS, rows_per_batch=4, pad_id=0), rel=5e-3)


@FAMILY
def test_lora_in_bf16_is_trained_by_a_kernel_for_cuda(family: str) -> None:
    torch.manual_seed(0)
    model = get_peft_model(tiny_model(family, **SIZE).bfloat16().cuda(), LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    choice = choose_layout(model, ROWS, 0, tolerance=1e-2)
    assert choice.layout in (VARLEN, FLEX), choice.refused


@pytest.mark.parametrize("config", [PrefixTuningConfig, PromptTuningConfig], ids=["prefix", "prompt"])
def test_soft_prompts_in_bf16_are_trained_by_a_kernel_for_cuda(config: type) -> None:
    torch.manual_seed(0)
    peft = get_peft_model(tiny_model("llama", **SIZE).bfloat16().cuda(), config(task_type="CAUSAL_LM", num_virtual_tokens=5))
    choice = choose_layout(SoftPromptModel(peft), ROWS, 0, tolerance=1e-2)
    assert choice.layout in (VARLEN, FLEX), choice.refused


def test_liger_is_left_alone_where_nobody_wants_it() -> None:
    model = tiny_model("llama", **SIZE).cuda()
    kernels = {type(module).forward for module in model.modules()}
    assert use_liger(model, False, lambda: 0.0, 1e-3) is None
    assert {type(module).forward for module in model.modules()} == kernels


def test_liger_changes_neither_the_loss_nor_the_layout() -> None:
    pytest.importorskip("liger_kernel", reason="Liger is not installed")
    model = tiny_model("llama", **SIZE).bfloat16().cuda()
    note = use_liger(model, None, lambda: mean_loss(PADDED, model, ROWS, rows_per_batch=4, pad_id=0), 1e-2)
    assert note is not None
    assert note.startswith("Liger's kernels are used")
    torch.manual_seed(0)
    choice = choose_layout(get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")), ROWS, 0, tolerance=1e-2)
    assert choice.layout in (VARLEN, FLEX), choice.refused
