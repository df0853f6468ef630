"""Packed rows with a shared prefix are an optimisation, not another model: losses and gradients equal those of the padded batch."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline_config.training import TrainingConfig
from tasks.batching import PACKED, PADDED, Layout, choose_layout, common_prefix_length, mean_loss, pack, shared_prefix_length, summed_loss
from tasks.chat import EncodedRow, encode_row
from tasks.methods import METHODS
from tasks.models import LoadedBase, load_base
from tasks.rows import Row, to_messages
from tests.builders import tiny_base

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


def gradients(layout: Layout, model: Any, rows: list[EncodedRow]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    summed_loss(layout, model, layout.collate(rows, 0)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("instruction", ["Route this ticket to a queue.", None], ids=["long shared prefix", "short shared prefix"])
def test_packed_loss_equals_padded_loss(base: LoadedBase, instruction: str | None) -> None:
    rows = encoded(base, instruction)
    packed = mean_loss(PACKED, base.model, rows, rows_per_batch=4, pad_id=0)
    assert packed == pytest.approx(mean_loss(PADDED, base.model, rows, rows_per_batch=4, pad_id=0), rel=1e-5)


def test_packed_loss_equals_the_loss_of_rows_alone(base: LoadedBase) -> None:
    rows = encoded(base)
    together = mean_loss(PACKED, base.model, rows, rows_per_batch=4, pad_id=0)
    assert together == pytest.approx(mean_loss(PADDED, base.model, rows, rows_per_batch=1, pad_id=0), rel=1e-5)


def test_packed_gradients_equal_padded_gradients(tmp_path: Path) -> None:
    base = load_base(tiny_base(tmp_path), tmp_path)
    torch.manual_seed(1)
    model = METHODS["lora"].attach(base.model, TrainingConfig(lora={"lora_dropout": 0.0}))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # they start at zero, which would hide the gradients of lora_A
            torch.nn.init.normal_(parameter, std=0.1)
    packed, padded = (gradients(layout, model, encoded(base)) for layout in (PACKED, PADDED))
    assert packed.keys() == padded.keys()
    assert len(packed) >= 28
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, padded[name], rtol=1e-3, atol=1e-5, msg=name)


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
        """Drops the block mask, as a model with its own idea of masks may."""

        device = torch.device("cpu")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **options: Any) -> Any:
            mask = attention_mask if attention_mask.dim() == 2 else None
            return base.model(input_ids=input_ids, attention_mask=mask, **options)

    assert choose_layout(Leaky(), encoded(base), 0, tolerance=1e-5) is PADDED
    assert choose_layout(base.model, encoded(base), 0, tolerance=1e-5) is PACKED
