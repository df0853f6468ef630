"""Packed rows with a shared prefix are an optimisation, not another model: losses and gradients equal those of the padded batch."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline_config.training import TrainingConfig
from tasks.attention import use_row_attention
from tasks.batching import (
    BLOCKS,
    PACKED,
    PADDED,
    Layout,
    choose_layout,
    common_prefix_length,
    mean_loss,
    pack,
    pack_in_blocks,
    rows_to_check,
    shared_prefix_length,
    summed_loss,
)
from tasks.chat import EncodedRow, encode_row
from tasks.methods import METHODS
from tasks.models import LoadedBase, load_base
from tasks.rows import Message, Row, to_messages
from tests.architectures import tiny_model
from tests.builders import tiny_base

RowsOf = Callable[[LoadedBase], list[EncodedRow]]
TEXTS = ["vpn", "the printer says paper jam again, third time today", "password", "laptop does not start, black screen, please help"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LoadedBase:
    folder = tmp_path_factory.mktemp("base")
    return load_base(tiny_base(folder), folder)


def encoded(base: LoadedBase, instruction: str | None = "Route this ticket to a queue.") -> list[EncodedRow]:
    rows: list[Row] = [
        {"row_id": text, "digest": text, "group": text, "messages": to_messages(instruction, text, f"queue {len(text)}")} for text in TEXTS
    ]
    return [encode_row(base.tokenizer, row) for row in rows]


def conversations(base: LoadedBase) -> list[EncodedRow]:
    """Chats of two, three and four answers to the same opening."""
    opening: list[Message] = [{"role": "system", "content": "Route this ticket to a queue."}]
    chats = [opening + [turn for text in TEXTS[:count] for turn in to_messages(None, text, f"queue {len(text)}")] for count in (2, 3, 4)]
    return [encode_row(base.tokenizer, {"row_id": str(len(c)), "digest": "", "group": "", "messages": c}) for c in chats]


def mixed(base: LoadedBase) -> list[EncodedRow]:
    """Plain chats and chats of several turns, alternating."""
    return [row for pair in zip(encoded(base), conversations(base), strict=False) for row in pair]


def gradients(layout: Layout, model: Any, rows: list[EncodedRow]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    summed_loss(layout, model, layout.collate(rows, 0)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


ROWS = pytest.mark.parametrize(
    "rows_of",
    [encoded, partial(encoded, instruction=None), conversations, mixed],
    ids=["long shared prefix", "short shared prefix", "several turns", "plain chats and several turns"],
)
EVERY = pytest.mark.parametrize("layout", [BLOCKS, PACKED, PADDED], ids=lambda layout: layout.name)
FAST = pytest.mark.parametrize("layout", [BLOCKS, PACKED], ids=lambda layout: layout.name)


@FAST
@ROWS
def test_loss_equals_padded_loss(base: LoadedBase, rows_of: RowsOf, layout: Layout) -> None:
    rows = rows_of(base)
    loss = mean_loss(layout, base.model, rows, rows_per_batch=4, pad_id=0)
    assert loss == pytest.approx(mean_loss(PADDED, base.model, rows, rows_per_batch=4, pad_id=0), rel=1e-5)


@FAST
@ROWS
def test_loss_equals_the_loss_of_rows_alone(base: LoadedBase, rows_of: RowsOf, layout: Layout) -> None:
    rows = rows_of(base)
    together = mean_loss(layout, base.model, rows, rows_per_batch=4, pad_id=0)
    assert together == pytest.approx(mean_loss(PADDED, base.model, rows, rows_per_batch=1, pad_id=0), rel=1e-5)


@FAST
@ROWS
def test_gradients_equal_padded_gradients(tmp_path: Path, rows_of: RowsOf, layout: Layout) -> None:
    base = load_base(tiny_base(tmp_path), tmp_path)
    torch.manual_seed(1)
    model = METHODS["lora"].attach(base.model, TrainingConfig(lora={"lora_dropout": 0.0}))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # they start at zero, which would hide the gradients of lora_A
            torch.nn.init.normal_(parameter, std=0.1)
    fast, padded = (gradients(way, model, rows_of(base)) for way in (layout, PADDED))
    assert fast.keys() == padded.keys()
    assert len(fast) >= 28
    for name, gradient in fast.items():
        torch.testing.assert_close(gradient, padded[name], rtol=1e-3, atol=1e-5, msg=name)


@EVERY
def test_targets_are_the_answers_and_their_ends_and_nothing_else(base: LoadedBase, layout: Layout) -> None:
    rows = conversations(base)
    answers = [f"queue {len(text)}<|end|>" for count in (2, 3, 4) for text in TEXTS[:count]]
    batch = layout.collate(rows, 0)
    assert base.tokenizer.decode(batch["labels"][0]) == "".join(answers)
    everything = [{**row, "supervised": [True] * len(row["completion_ids"])} for row in rows]
    assert TEXTS[1] in base.tokenizer.decode(layout.collate(everything, 0)["labels"][0])


@EVERY
def test_the_loss_is_that_of_the_answers_alone(base: LoadedBase, layout: Layout) -> None:
    """Against probabilities read off whole rows, without any of our batching."""
    total, count = 0.0, 0
    for row in mixed(base):
        ids = torch.tensor([*row["prompt_ids"], *row["completion_ids"]])
        scores = base.model(ids[None]).logits[0].log_softmax(dim=-1)
        learnt = [len(row["prompt_ids"]) + at for at, learns in enumerate(row["supervised"]) if learns]
        total -= sum(scores[at - 1, ids[at]].item() for at in learnt)
        count += len(learnt)
    assert mean_loss(layout, base.model, mixed(base), rows_per_batch=4, pad_id=0) == pytest.approx(total / count, rel=1e-5)


def test_blocks_are_used_unless_one_row_is_much_longer_than_the_others(base: LoadedBase) -> None:
    alike = encoded(base)[1::2] * 4
    assert "blocks" in pack_in_blocks(alike, 0)
    outlier = {**alike[0], "prompt_ids": [*alike[0]["prompt_ids"], *alike[0]["prompt_ids"][-2:] * 200]}
    assert "blocks" not in pack_in_blocks([outlier, *encoded(base)[::2] * 4], 0)


def test_a_sliding_window_counts_positions_and_not_places(tmp_path: Path) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    base = load_base(tiny_base(tmp_path), tmp_path)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=base.model.config.vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8, initializer_range=0.2,
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    use_row_attention(model)
    rows = encoded(base)
    loss = mean_loss(BLOCKS, model, rows, rows_per_batch=4, pad_id=0)
    assert loss == pytest.approx(mean_loss(PADDED, model, rows, rows_per_batch=4, pad_id=0), rel=1e-5)
    assert choose_layout(model, rows, 0, tolerance=1e-5).layout is BLOCKS
    model.set_attn_implementation("sdpa")
    assert choose_layout(model, rows, 0, tolerance=1e-5).layout is PACKED


def test_a_layout_that_loses_the_window_is_found_out_by_rows_shorter_than_it(base: LoadedBase) -> None:
    class Forgetful(torch.nn.Module):
        """A model whose layers have a window that its own configuration does not mention."""

        device = torch.device("cpu")

        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny_model("mistral", vocab_size=base.model.config.vocab_size, sliding_window=1000)
            self.inner.set_attn_implementation("sdpa")
            self.config = base.model.config

        def forward(self, **inputs: Any) -> Any:
            return self.inner(**inputs)

    rows = encoded(base)
    model = Forgetful()
    packed, padded = (mean_loss(layout, model, rows, rows_per_batch=4, pad_id=0) for layout in (PACKED, PADDED))
    assert packed == pytest.approx(padded, rel=1e-5)
    choice = choose_layout(model, rows, 0, tolerance=1e-5)
    assert choice.layout is PADDED
    assert {refusal.layout for refusal in choice.refused} == {"blocks", "packed"}
    assert "where padded rows have" in choice.refused[1].why
    assert "with a window of" in choice.refused[1].why
    assert model.inner.config.sliding_window == 1000


def test_an_attention_that_follows_masks_alone_is_not_given_blocks(base: LoadedBase, tmp_path: Path) -> None:
    model = load_base(tiny_base(tmp_path), tmp_path).model
    model.set_attn_implementation("sdpa")
    assert choose_layout(model, encoded(base), 0, tolerance=1e-5).layout is PACKED


def test_a_row_never_sees_another_row(base: LoadedBase) -> None:
    rows = encoded(base)
    batch = pack(rows, 0)
    shared = shared_prefix_length(rows)
    mask = batch["attention_mask"][0, 0]
    first_end = shared + len(rows[0]["prompt_ids"]) - shared + len(rows[0]["completion_ids"])
    assert not mask[first_end:, shared:first_end].any()
    assert mask[first_end:, :shared].all()
    assert not mask.triu(1).any()


def test_positions_go_on_from_the_shared_prefix(base: LoadedBase) -> None:
    rows = encoded(base)
    shared = shared_prefix_length(rows)
    positions = batch_positions = pack(rows, 0)["position_ids"][0].tolist()
    assert positions[:shared] == list(range(shared))
    assert batch_positions.count(shared) == len(rows)


def test_every_row_keeps_a_prompt_token_of_its_own() -> None:
    assert common_prefix_length([[1, 2, 3], [1, 2, 3]]) == 2
    assert common_prefix_length([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix_length([[4], [5]]) == 0


def test_a_model_that_ignores_the_block_mask_is_trained_on_padded_rows(base: LoadedBase) -> None:
    class Leaky(torch.nn.Module):
        """Drops the block mask and the blocks, as a model with its own idea of masks may."""

        device, config = torch.device("cpu"), base.model.config

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, blocks: Any = None, **options: Any) -> Any:
            mask = attention_mask if attention_mask.dim() == 2 else None
            return base.model(input_ids=input_ids, attention_mask=mask, **options)

    for most_tokens in (1000, 1):  # four rows, and two
        rows = rows_to_check(encoded(base), most_tokens)
        assert choose_layout(Leaky(), rows, 0, tolerance=1e-5).layout is PADDED
        assert choose_layout(base.model, rows, 0, tolerance=1e-5).layout is BLOCKS


def test_a_layout_with_the_right_loss_and_wrong_gradients_is_not_used(base: LoadedBase) -> None:
    class HalfHearted(torch.nn.Module):
        """Learns half as much from packed rows, as a kernel with a broken backward pass may."""

        device, config = torch.device("cpu"), base.model.config

        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny_model("llama", vocab_size=base.model.config.vocab_size)

        def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
            output = self.inner(attention_mask=attention_mask, **inputs)
            if attention_mask.dim() == 4:
                output.logits = (output.logits + output.logits.detach()) / 2
            return output

    choice = choose_layout(HalfHearted(), encoded(base), 0, tolerance=1e-5)
    assert choice.layout is PADDED
    assert all(refusal.why.startswith("gradient norm") for refusal in choice.refused)
