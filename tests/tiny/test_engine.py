"""The engine's answers: independent of the batch, restricted where asked, separate for each adapter."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline_config.errors import ModelError
from pipeline_config.training import TrainingConfig
from tasks.engine import TransformersEngine
from tasks.files import file_digests
from tasks.manifest import MANIFEST, Manifest, write_manifest
from tasks.methods import METHODS
from tasks.models import load_base
from tasks.rows import Message
from tests.builders import tiny_base

PROMPTS: list[list[Message]] = [
    [{"role": "system", "content": "Route this ticket."}, {"role": "user", "content": text}]
    for text in ("vpn", "the printer says paper jam again, third time today", "password", "laptop does not start")
]


@pytest.fixture
def engine(tmp_path: Path) -> TransformersEngine:
    return TransformersEngine(load_base(tiny_base(tmp_path / "base"), tmp_path))


def adapter(engine: TransformersEngine, folder: Path, seed: int) -> Path:
    """A version with random weights that differ from the base's."""
    torch.manual_seed(seed)
    base = load_base(tiny_base(folder / "base"), folder)
    model = METHODS["lora"].attach(base.model, TrainingConfig())
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    artifact = folder / "artifact"
    METHODS["lora"].save(model, artifact, "base")
    files = file_digests(artifact, leave_out=[MANIFEST])
    manifest = Manifest(
        method="lora",
        base=engine.base.identity,
        instruction=None,
        labels=None,
        max_new_tokens=8,
        data_digest="d",
        code_revision=None,
        files=files,
    )
    write_manifest(artifact, manifest)
    return artifact


def texts(engine: TransformersEngine, name: str | None, batch_size: int = 4) -> list[str]:
    return [a.text for a in engine.answer(PROMPTS, adapter=name, max_new_tokens=8, batch_size=batch_size)]


def test_an_answer_does_not_depend_on_who_else_is_in_the_batch(engine: TransformersEngine) -> None:
    assert texts(engine, None, batch_size=1) == texts(engine, None, batch_size=4) == texts(engine, None, batch_size=3)


def test_answers_equal_those_of_generate(engine: TransformersEngine) -> None:
    tokenizer, model = engine.base.tokenizer, engine.model
    for prompt, ours in zip(PROMPTS, texts(engine, None), strict=True):
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        theirs = model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
        assert ours == tokenizer.decode(theirs, skip_special_tokens=True)


def test_every_adapter_has_the_weights_of_its_file_whichever_was_loaded_first(tmp_path: Path) -> None:
    config = tiny_base(tmp_path / "base").model_copy(update={"dtype": "bfloat16"})
    engine = TransformersEngine(load_base(config, tmp_path))
    for name, seed in (("first", 1), ("second", 2)):
        engine.load_adapter(name, adapter(engine, tmp_path / name, seed))
    loaded = dict(engine.model.named_parameters())
    for name in ("first", "second"):
        stored = load_file(tmp_path / name / "artifact" / "adapter_model.safetensors")
        assert len(stored) >= 28
        for key, weights in stored.items():
            assert torch.equal(loaded[key.replace(".weight", f".{name}.weight")], weights), f"{name}: {key} is not what was saved"


def test_restricted_answers_are_always_one_of_the_allowed(engine: TransformersEngine) -> None:
    allowed = ["hardware", "hard", "network access", "x"]
    answers = engine.answer(PROMPTS, adapter=None, max_new_tokens=1, batch_size=2, allowed=allowed)
    assert {a.text for a in answers} <= set(allowed)
    assert all(a.finish_reason == "stop" for a in answers)


def test_two_adapters_answer_side_by_side_and_leave_the_base_alone(engine: TransformersEngine, tmp_path: Path) -> None:
    bare = texts(engine, None)
    engine.load_adapter("one", adapter(engine, tmp_path / "1", 1))
    alone = texts(engine, "one")
    engine.load_adapter("two", adapter(engine, tmp_path / "2", 2))
    assert texts(engine, "two") != alone != bare
    assert texts(engine, "one") == alone
    assert texts(engine, None) == bare
    engine.unload_adapter("one")
    engine.unload_adapter("two")
    assert engine.adapters() == ()
    assert texts(engine, None) == bare


def test_an_adapter_can_come_back_after_the_last_one_was_unloaded(engine: TransformersEngine, tmp_path: Path) -> None:
    artifact = adapter(engine, tmp_path / "1", 1)
    engine.load_adapter("one", artifact)
    before = texts(engine, "one")
    engine.unload_adapter("one")
    engine.load_adapter("one-again", artifact)
    assert texts(engine, "one-again") == before


def test_a_name_is_taken_once(engine: TransformersEngine, tmp_path: Path) -> None:
    artifact = adapter(engine, tmp_path / "1", 1)
    engine.load_adapter("one", artifact)
    with pytest.raises(ModelError, match="loaded already"):
        engine.load_adapter("one", artifact)


def test_a_changed_byte_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    artifact = adapter(engine, tmp_path / "1", 1)
    weights = artifact / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        engine.load_adapter("one", artifact)


def test_an_adapter_of_another_base_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    artifact = adapter(engine, tmp_path / "1", 1)
    manifest = engine.base.identity.model_copy(update={"digest": "0" * 64})
    other = Manifest(
        method="lora", base=manifest, instruction=None, labels=None, max_new_tokens=8, data_digest="d", code_revision=None,
        files=file_digests(artifact, leave_out=[MANIFEST]),
    )  # fmt: skip
    write_manifest(artifact, other)
    with pytest.raises(ModelError, match="belongs to base 000000000000"):
        engine.load_adapter("one", artifact)
