import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.batching import LAYOUTS, mean_loss
from tasks.chat import EncodedRow
from tasks.evaluate.perplexity import perplexity_of, row_losses, windowed
from tasks.models import load_base
from tests.builders import tiny_base


def make_row(prompt: int, completion: int, unsupervised: int = 0) -> EncodedRow:
    ids = [5 + (7 * at) % 200 for at in range(prompt + completion)]
    supervised = [at >= unsupervised for at in range(completion)]
    return {"row_id": f"{prompt}-{completion}", "prompt_ids": ids[:prompt], "completion_ids": ids[prompt:], "supervised": supervised}


ROWS = [make_row(6, 4), make_row(6, 1), make_row(9, 30), make_row(40, 12, unsupervised=5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    return load_base(tiny_base(folder / "base"), folder).model.eval()


def alone(model: Any, row: EncodedRow, window: int) -> list[float]:
    """Nats of each token that carries loss: its distribution after at most a window of tokens, by the strides of the documentation."""
    ids = [*row["prompt_ids"], *row["completion_ids"]]
    carries = [*[False] * len(row["prompt_ids"]), *row["supervised"]]
    nats, seen = [], 0
    for start in range(0, len(ids), window // 2):
        end = min(start + window, len(ids))
        with torch.no_grad():
            scores = model(torch.tensor([ids[start:end]])).logits[0].log_softmax(dim=-1)
        nats += [-scores[place - start - 1, ids[place]].item() for place in range(max(seen, 1), end) if carries[place]]
        seen = end
        if end == len(ids):
            break
    return nats


@pytest.mark.parametrize("layout", ["blocks", "packed", "padded"])
def test_each_row_has_the_nats_of_its_tokens_alone(model: Any, layout: str) -> None:
    losses = row_losses(LAYOUTS[layout], model, ROWS, rows_per_batch=3, pad_id=0)
    assert [loss.tokens for loss in losses] == [4, 1, 30, 7]
    assert [loss.nats for loss in losses] == pytest.approx([sum(alone(model, row, 512)) for row in ROWS], rel=1e-4)
    mean = sum(loss.nats for loss in losses) / sum(loss.tokens for loss in losses)
    assert mean == pytest.approx(mean_loss(LAYOUTS["padded"], model, ROWS, rows_per_batch=1, pad_id=0), rel=1e-4)


def test_perplexity_is_that_of_transformers_own_loss(model: Any) -> None:
    rows = [make_row(5 + at % 7, 1 + at % 11) for at in range(200)]
    nats = 0.0
    for row in rows:
        ids = torch.tensor([[*row["prompt_ids"], *row["completion_ids"]]])
        labels = ids.masked_fill(torch.arange(ids.shape[1]) < len(row["prompt_ids"]), -100)
        with torch.no_grad():
            nats += model(input_ids=ids, labels=labels).loss.item() * len(row["completion_ids"])
    tokens = sum(len(row["completion_ids"]) for row in rows)
    losses = row_losses(LAYOUTS["padded"], model, rows, rows_per_batch=8, pad_id=0)
    ours = perplexity_of(sum(loss.nats for loss in losses) / sum(loss.tokens for loss in losses))
    assert ours == pytest.approx(math.exp(nats / tokens), rel=1e-6)


def test_rows_longer_than_the_window_are_measured_in_strides(model: Any) -> None:
    losses = row_losses(LAYOUTS["packed"], model, ROWS, rows_per_batch=4, pad_id=0, window=16)
    assert [loss.tokens for loss in losses] == [4, 1, 30, 7]
    assert [loss.nats for loss in losses] == pytest.approx([sum(alone(model, row, 16)) for row in ROWS], rel=1e-4)
    whole = row_losses(LAYOUTS["packed"], model, ROWS, rows_per_batch=4, pad_id=0)
    assert abs(losses[2].nats - whole[2].nats) > 1e-3, "the window changes nothing, and the test proves nothing"


def test_a_model_that_gives_no_numbers_gives_no_loss(model: Any) -> None:
    class Broken:
        device = model.device

        def __call__(self, *args: Any, **settings: Any) -> Any:
            output = model(*args, **settings)
            output.logits = output.logits * math.nan
            return output

    assert all(math.isnan(loss.nats) for loss in row_losses(LAYOUTS["padded"], Broken(), ROWS, rows_per_batch=4, pad_id=0))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 59), st.integers(2, 40))
def test_every_token_that_carries_loss_does_so_once_with_half_a_window_before_it(
    prompt: int, completion: int, unsupervised: int, window: int
) -> None:
    row = make_row(prompt, completion, min(unsupervised, completion - 1))
    pieces = windowed(row, window)
    assert sum(sum(piece["supervised"]) for piece in pieces) == sum(row["supervised"])
    counted = [token for piece in pieces for token, carries in zip(piece["completion_ids"], piece["supervised"], strict=True) if carries]
    assert counted == [token for token, carries in zip(row["completion_ids"], row["supervised"], strict=True) if carries]
    for at, piece in enumerate(pieces):
        assert piece["prompt_ids"]
        assert len(pieces) == 1 or len(piece["prompt_ids"]) + len(piece["completion_ids"]) <= window
        assert at == 0 or len(piece["prompt_ids"]) >= window // 2
