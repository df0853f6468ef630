"""On a CUDA device: a training as a run starts it says which kernels it uses, and learns. Needs all that tunegate needs."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from pipeline_config.model import ModelConfig
from pipeline_config.training import TrainingConfig
from tests.architectures import tiny_model
from tests.builders import make_row, tiny_tokenizer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

LABELS = ("network", "hardware")


def base(folder: Path) -> ModelConfig:
    """A random Llama with heads as large as the kernels need them."""
    tokenizer = tiny_tokenizer()
    ids = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    tiny_model("llama", hidden_size=128, num_attention_heads=4, num_key_value_heads=2, **ids).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelConfig(name_or_path=str(folder), dtype="bfloat16", max_length=256)


@pytest.mark.parametrize("wanted", [None, False], ids=["Liger where it is installed", "without Liger"])
def test_a_training_says_which_kernels_it_uses(tmp_path: Path, wanted: bool | None) -> None:
    pytest.importorskip("polars", reason="tunegate's requirements are not installed")
    from tasks.methods.settings import settle
    from tasks.rows import write_rows
    from tasks.train.events import TrainingRequest
    from tasks.train.train import train

    for side in ("train", "validation"):
        write_rows(tmp_path / f"{side}.parquet", [make_row(f"{side} {number}", LABELS[number % 2]) for number in range(16)])
    given = {"epochs": 4, "learning_rate": 1e-2} | ({} if wanted is None else {"use_liger_kernel": wanted})
    request = TrainingRequest(
        workspace=tmp_path, folder=tmp_path / "run", data_folder=tmp_path, data_digest="d", instruction=None, labels=LABELS,
        max_new_tokens=4, code_revision=None, model=base(tmp_path / "base"), training=settle(TrainingConfig.model_validate(given)).training,
    )  # fmt: skip
    request.folder.mkdir()
    trained = train(request, dict(os.environ), lambda event: None)
    assert trained.layout in ("varlen", "flex"), trained.notes
    assert any(note.startswith("attention on the GPU is computed by ") for note in trained.notes)
    used = [note for note in trained.notes if note.startswith("Liger's kernels are used")]
    assert bool(used) == (wanted is None and importlib.util.find_spec("liger_kernel") is not None), trained.notes
    assert trained.curve[-1].validation_loss < trained.curve[0].validation_loss
