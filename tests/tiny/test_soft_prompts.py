"""The forward pass round PEFT's: every layout gives what PEFT itself gives to one row at a time, which is where PEFT is right."""

from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from torch.nn.functional import cross_entropy

from pipeline_config.errors import ModelError
from tasks.batching import BLOCKS, PACKED, PADDED, Layout, choose_layout, mean_loss, pack_in_blocks, summed_loss
from tasks.chat import EncodedRow
from tasks.engine import TransformersEngine
from tasks.manifest import BaseIdentity
from tasks.methods.soft import SoftPromptModel
from tasks.models import LoadedBase
from tasks.rows import Message, to_messages
from tests.architectures import WINDOW, random_rows, tiny_model
from tests.builders import INSTRUCTION, tiny_tokenizer

VIRTUAL = 5
LONG_PREFIX, NO_PREFIX = random_rows(9, [24, 15, 30, 19]), random_rows(0, [22, 14, 25, 17])

METHOD = pytest.mark.parametrize("config", [PrefixTuningConfig, PromptTuningConfig], ids=["prefix", "prompt"])
FAMILY = pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma3"])
ON_CPU = (BLOCKS, PACKED, PADDED)
LAYOUT = pytest.mark.parametrize("layout", ON_CPU, ids=lambda layout: layout.name)
ROWS = pytest.mark.parametrize("rows", [LONG_PREFIX, NO_PREFIX], ids=["shared prefix", "nothing shared"])


def soft(family: str, config: Any, virtual: int = VIRTUAL, dtype: torch.dtype = torch.float32, **changes: Any) -> SoftPromptModel:
    """A soft prompt with weights that matter."""
    base = tiny_model(family, **changes).to(dtype)
    peft = get_peft_model(base, config(task_type="CAUSAL_LM", num_virtual_tokens=virtual))
    torch.manual_seed(2)
    torch.nn.init.normal_(peft.prompt_encoder["default"].embedding.weight, std=1.0)
    return SoftPromptModel(peft).eval()


def loss_of_peft(model: SoftPromptModel, rows: list[EncodedRow]) -> torch.Tensor:
    """Summed over the rows, one at a time, without padding, masks or positions."""
    losses = []
    for row in rows:
        ids = torch.tensor([*row["prompt_ids"], *row["completion_ids"]])
        learnt = len(row["completion_ids"])
        logits = model.peft(input_ids=ids[None]).logits[0, -learnt - 1 : -1]
        losses.append(cross_entropy(logits, ids[-learnt:], reduction="sum"))
    return torch.stack(losses).sum()


@LAYOUT
@ROWS
@METHOD
@FAMILY
def test_loss_and_gradients_equal_those_of_peft_row_by_row(family: str, config: Any, rows: list[EncodedRow], layout: Layout) -> None:
    model = soft(family, config)
    weights = model.peft.prompt_encoder["default"].embedding.weight
    theirs = loss_of_peft(model, rows)
    (wanted,) = torch.autograd.grad(theirs, weights)
    ours = summed_loss(layout, model, layout.collate(rows, 0))
    (got,) = torch.autograd.grad(ours, weights)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-5)
    assert wanted.abs().max() > 1e-2


@METHOD
def test_rows_in_blocks_stay_in_blocks(config: Any) -> None:
    assert "blocks" in pack_in_blocks(LONG_PREFIX, 0)
    assert "blocks" in pack_in_blocks(NO_PREFIX, 0)
    assert choose_layout(soft("llama", config), LONG_PREFIX, 0, tolerance=1e-5).layout is BLOCKS


@METHOD
def test_the_layouts_agree_in_bf16(config: Any) -> None:
    model = soft("llama", config, dtype=torch.bfloat16)
    losses = [mean_loss(layout, model, LONG_PREFIX, rows_per_batch=4, pad_id=0) for layout in ON_CPU]
    assert losses == pytest.approx([losses[-1]] * len(losses), rel=1e-2)
    assert model.peft.prompt_encoder["default"].embedding.weight.dtype == torch.float32


def engine(family: str, config: Any) -> TransformersEngine:
    tokenizer = tiny_tokenizer()
    model = soft(family, config, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    return TransformersEngine(LoadedBase(model, tokenizer, BaseIdentity(name_or_path="tiny", revision=None, digest="", dtype="float32")))


TEXTS = ["vpn", "the printer says paper jam again, third time today", "password", "laptop", "a", "billing email", "reset the vpn", "x y z"]
PROMPTS: list[list[Message]] = [to_messages(INSTRUCTION, text, "")[:-1] for text in TEXTS]


def answers(engine: TransformersEngine, batch_size: int, prompts: list[list[Message]] = PROMPTS) -> list[str]:
    return [answer.text for answer in engine.answer(prompts, adapter=None, max_new_tokens=8, batch_size=batch_size)]


@METHOD
@FAMILY
def test_answers_equal_those_of_peft_s_generate(family: str, config: Any) -> None:
    ours = engine(family, config)
    tokenizer, peft = ours.base.tokenizer, ours.base.model.peft
    for prompt, answer in zip(PROMPTS[:4], answers(ours, 1), strict=False):
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        theirs = peft.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        assert answer == tokenizer.decode(theirs[0, ids.shape[1] :], skip_special_tokens=True)


@METHOD
@FAMILY
def test_answers_do_not_depend_on_who_is_in_the_batch(family: str, config: Any) -> None:
    ours = engine(family, config)
    alone = answers(ours, 1)
    assert alone == answers(ours, 8)
    assert len(set(alone)) > 2
    nothing_shared = [to_messages(text, text, "")[:-1] for text in TEXTS]
    assert answers(ours, 1, nothing_shared) == answers(ours, 8, nothing_shared)


@LAYOUT
@METHOD
@pytest.mark.parametrize("family", ["mistral", "gemma3"])
def test_there_may_be_more_virtual_tokens_than_the_window_sees(family: str, config: Any, layout: Layout) -> None:
    model = soft(family, config, virtual=WINDOW + 3)
    ours = summed_loss(layout, model, layout.collate(LONG_PREFIX, 0))
    assert ours.item() == pytest.approx(loss_of_peft(model, LONG_PREFIX).item(), rel=1e-5)


def test_a_packed_mask_without_positions_is_refused() -> None:
    with pytest.raises(ModelError, match="without position ids"):
        soft("llama", PromptTuningConfig)(torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 1, 2, 2, dtype=torch.bool))
