"""Small real things for tests: a random base model on disk, rows, prepared data, records."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline_config.model import ModelConfig
from tasks.artifacts import PreparedData, RowCounts, TrainedModel
from tasks.rows import Row, answer_of, messages_digest, to_messages, write_rows

INSTRUCTION = "Route this ticket to a queue."

_PAD, _START, _END = "<|pad|>", "<|start|>", "<|end|>"
_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
_TEXTS = [
    "system user assistant Route this ticket to a queue. Choose one of these labels:",
    "the vpn drops every hour and the printer says paper jam, password reset for the new laptop please",
    "access network hardware email billing software positive negative neutral",
]


def tiny_base(folder: Path) -> ModelConfig:
    """Saves a random two-layer Llama (hidden size 32, fp32) with a byte-level tokenizer; the same bytes on every call.

    Returns:
        A configuration that names the folder.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, initializer_range=0.2, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelConfig(name_or_path=str(folder), dtype="float32", max_length=256)


def make_row(text: str, answer: str, instruction: str | None = INSTRUCTION) -> Row:
    """A row that is known by its text."""
    messages = to_messages(instruction, text, answer)
    digest = messages_digest(messages)
    return {"row_id": digest[:12], "digest": digest, "group": digest, "messages": messages}


def make_prepared(
    folder: Path, train: Iterable[Row], validation: Iterable[Row], test: Iterable[Row], *, labelled: bool = True
) -> PreparedData:
    """Writes the three sides as preparation would."""
    from tasks.files import sha256_json

    folder.mkdir(parents=True, exist_ok=True)
    sides = {"train": list(train), "validation": list(validation), "test": list(test)}
    for side, rows in sides.items():
        write_rows(folder / f"{side}.parquet", rows)
    sizes = {side: len(rows) for side, rows in sides.items()}
    every = [row for rows in sides.values() for row in rows]
    return PreparedData(
        folder=folder,
        training_digest="training",
        digest=sha256_json([[row["digest"] for row in rows] for rows in sides.values()]),
        instruction=INSTRUCTION,
        labels=tuple(sorted({answer_of(row) for row in every})) if labelled else None,
        counts=RowCounts(read=len(every), quarantined=0, duplicates=0, unselected=0, set_aside=0, **sizes),
    )


def make_trained(
    folder: Path, config: ModelConfig, workspace: Path, prepared: PreparedData, seed: int, method: str = "lora", **changes: Any
) -> TrainedModel:
    """A version with random LoRA weights, different for each seed, and all that training leaves beside them.

    Args:
        method: lora or qlora.
        changes: fields of the record that shall be different.
    """
    import polars as pl
    import torch

    from pipeline_config.training import LoraSettings, TrainingConfig
    from tasks.files import file_digests
    from tasks.manifest import TRAIN_ROWS, Manifest, write_manifest
    from tasks.methods import METHODS
    from tasks.models import load_base

    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    base = load_base(config, workspace, METHODS[method].quantization)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = METHODS[method].attach(base.model, TrainingConfig(lora=LoraSettings(r=4)))
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.5)
    METHODS[method].save(model, artifact, config.name_or_path)
    sides = [pl.read_parquet(prepared.folder / f"{side}.parquet").select("row_id", "digest") for side in ("train", "validation")]
    pl.concat(sides).write_parquet(artifact / TRAIN_ROWS)
    manifest = Manifest(
        method=method, base=base.identity, instruction=prepared.instruction, labels=prepared.labels, max_new_tokens=8,
        data_digest=prepared.digest, code_revision=None, files=file_digests(artifact),
    )  # fmt: skip
    values: dict[str, Any] = {
        "folder": folder, "artifact_digest": write_manifest(artifact, manifest), "base_digest": base.identity.digest, "method": method,
        "steps": 20, "shipped_step": 20, "curve": (), "stopped_early": False, "layout": "packed", "supervised_tokens": 100,
        "total_tokens": 1000, "tokens_per_second": 50.0, "peak_memory_bytes": 1 << 30,
    }  # fmt: skip
    return TrainedModel(**(values | changes))


def tiny_tokenizer() -> Any:
    """A byte-level tokenizer whose template writes roles and texts, and nothing else of a message."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[_PAD, _START, _END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=_PAD, eos_token=_END, additional_special_tokens=[_START])
    fast.chat_template = _TEMPLATE
    return fast
