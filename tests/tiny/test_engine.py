"""The engine's answers: independent of the batch, restricted where asked, separate for each version of each method."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline_config.errors import ModelError
from tasks.engine import TransformersEngine, open_engine
from tasks.files import read_json, write_json
from tasks.generation import Answer
from tasks.manifest import MANIFEST, Quantization, read_manifest, write_manifest
from tasks.methods import find_method
from tasks.models import load_base
from tasks.rows import Message
from tests.adapted import METHODS, make_artifact
from tests.builders import tiny_base

TEXTS = ["vpn", "the printer says paper jam again, third time today", "password", "laptop does not start", "a", "billing", "x y z", "no"]
PROMPTS: list[list[Message]] = [[{"role": "system", "content": "Route this ticket."}, {"role": "user", "content": text}] for text in TEXTS]
IN_16_BITS = [method for method in METHODS if find_method(method).quantization is None]

Open = Callable[..., TransformersEngine]
Make = Callable[..., Path]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens engines on a base that is always the same."""

    def open_(quantization: Quantization | None = None, dtype: str = "float32") -> TransformersEngine:
        config = tiny_base(tmp_path / "base").model_copy(update={"dtype": dtype})
        return open_engine(config, tmp_path, quantization)

    return open_


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes versions for that base."""

    def make(method: str, seed: int, quantization: Quantization | None = None, dtype: str = "float32", **settings: Any) -> Path:
        config = tiny_base(tmp_path / "base").model_copy(update={"dtype": dtype})
        base = load_base(config, tmp_path, quantization or find_method(method).quantization)
        return make_artifact(tmp_path / f"{method}-{seed}", method, base, seed, **settings)

    return make


@pytest.fixture
def engine(opened: Open) -> TransformersEngine:
    return opened()


def answers(engine: TransformersEngine, name: str | None, batch_size: int = 4) -> list[Answer]:
    return engine.answer(PROMPTS, adapter=name, max_new_tokens=8, batch_size=batch_size)


def texts(engine: TransformersEngine, name: str | None, batch_size: int = 4) -> list[str]:
    return [answer.text for answer in answers(engine, name, batch_size)]


def test_an_answer_does_not_depend_on_who_else_is_in_the_batch(engine: TransformersEngine) -> None:
    assert texts(engine, None, batch_size=1) == texts(engine, None, batch_size=8) == texts(engine, None, batch_size=3)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_s_answers_depend_on_who_else_is_in_the_batch(opened: Open, made: Make, method: str) -> None:
    engine = opened(find_method(method).quantization)
    engine.load_adapter("version", made(method, seed=1))
    alone = answers(engine, "version", batch_size=1)
    assert answers(engine, "version", batch_size=8) == alone
    assert len({answer.text for answer in alone}) > 2, "this version answers everything alike and proves nothing"
    assert alone != answers(engine, None, batch_size=1)


def test_answers_equal_those_of_generate(engine: TransformersEngine) -> None:
    tokenizer, model = engine.base.tokenizer, engine.base.model
    for prompt, ours in zip(PROMPTS, texts(engine, None), strict=True):
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        theirs = model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
        assert ours == tokenizer.decode(theirs, skip_special_tokens=True)


def test_every_adapter_has_the_weights_of_its_file_whichever_was_loaded_first(opened: Open, made: Make) -> None:
    engine = opened(dtype="bfloat16")
    versions = {name: made("lora", seed, dtype="bfloat16") for name, seed in (("first", 1), ("second", 2))}
    for name, artifact in versions.items():
        engine.load_adapter(name, artifact)
    with engine.active("first") as tree:
        loaded = dict(tree.named_parameters())
    for name, artifact in versions.items():
        stored = load_file(artifact / "adapter_model.safetensors")
        assert len(stored) >= 28
        for key, weights in stored.items():
            assert torch.equal(loaded[key.replace(".weight", f".{name}.weight")], weights), f"{name}: {key} is not what was saved"


def test_restricted_answers_are_always_one_of_the_allowed(engine: TransformersEngine) -> None:
    allowed = ["hardware", "hard", "network access", "x"]
    answers = engine.answer(PROMPTS, adapter=None, max_new_tokens=1, batch_size=2, allowed=allowed)
    assert {a.text for a in answers} <= set(allowed)
    assert all(a.finish_reason == "stop" for a in answers)


def test_versions_of_all_methods_answer_side_by_side_as_when_alone(opened: Open, made: Make) -> None:
    engine, artifacts = opened(), {f"{method}-{seed}": made(method, seed) for method in IN_16_BITS for seed in (1, 2)}
    bare = texts(engine, None)
    alone = {}
    for name, artifact in artifacts.items():
        engine.load_adapter(name, artifact)
        alone[name] = texts(engine, name)
        engine.unload_adapter(name)
    assert len({tuple(said) for said in alone.values()}) == len(artifacts)
    assert engine.adapters() == ()
    for name, artifact in artifacts.items():
        engine.load_adapter(name, artifact)
    for name in [*artifacts, *reversed(artifacts)]:
        assert texts(engine, name) == alone[name], name
        assert texts(engine, None) == bare
    for name in artifacts:
        engine.unload_adapter(name)
    assert texts(engine, None) == bare


@pytest.mark.parametrize("method", METHODS)
def test_a_version_stays_as_it_is_while_others_of_its_kind_come_and_go(opened: Open, made: Make, method: str) -> None:
    engine = opened(find_method(method).quantization)
    bare = texts(engine, None)
    first, second = made(method, 1), made(method, 2)
    engine.load_adapter("first", first)
    before = texts(engine, "first")
    engine.load_adapter("second", second)
    assert texts(engine, "second") != before
    assert texts(engine, "first") == before
    engine.unload_adapter("first")
    other = texts(engine, "second")
    engine.load_adapter("first-again", first)
    assert texts(engine, "first-again") == before
    engine.unload_adapter("second")
    engine.unload_adapter("first-again")
    engine.load_adapter("second-again", second)
    assert texts(engine, "second-again") == other
    assert texts(engine, None) == bare


@pytest.mark.parametrize("method", [method for method in METHODS if method != "full"])
def test_a_tree_shares_the_storage_of_the_base(opened: Open, made: Make, method: str) -> None:
    engine = opened(find_method(method).quantization)
    engine.load_adapter("version", made(method, 1))
    own = {weights.data_ptr() for weights in engine.base.model.parameters()}
    with engine.active("version") as tree:
        theirs = [weights for weights in tree.parameters() if weights.data_ptr() not in own]
        seen = {weights.data_ptr() for weights in tree.parameters()}
    assert own <= seen
    assert sum(weights.numel() for weights in theirs) < 0.3 * sum(weights.numel() for weights in engine.base.model.parameters())


def test_trees_of_all_kinds_take_little_more_memory_than_the_base(opened: Open, made: Make) -> None:
    engine = opened()
    base = held = storages(engine.base.model)
    for method in IN_16_BITS:
        if method != "full":
            engine.load_adapter(f"{method}-v1", made(method, 1))
            with engine.active(f"{method}-v1") as tree:
                held = held | storages(tree)
    assert sum(held.values()) < 1.5 * sum(base.values())


def storages(model: Any) -> dict[int, int]:
    """Bytes of every piece of memory that a model's weights and buffers lie in."""
    pieces = [tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())]
    return {piece.data_ptr(): piece.nbytes() for piece in pieces}


def test_scales_of_quantised_weights_are_shared_too(opened: Open, made: Make) -> None:
    engine = opened("nf4")
    engine.load_adapter("version", made("qlora", 1))
    with engine.active("version") as tree:
        theirs = [weights.quant_state for weights in tree.parameters() if hasattr(weights, "quant_state")]
    own = [weights.quant_state for weights in engine.base.model.parameters() if hasattr(weights, "quant_state")]
    assert len(own) == 14
    assert all(mine is other for mine, other in zip(own, theirs, strict=True))


def test_bottleneck_adapters_sit_on_a_base_in_4_bits_as_well(opened: Open, made: Make) -> None:
    engine = opened("nf4")
    bare = texts(engine, None)
    for seed in (1, 2):
        engine.load_adapter(f"v{seed}", made("adapter", seed, quantization="nf4"))
    assert len({tuple(said) for said in (bare, texts(engine, "v1"), texts(engine, "v2"))}) == 3
    assert texts(engine, "v1", batch_size=1) == texts(engine, "v1", batch_size=8)
    assert texts(engine, None) == bare


def test_a_name_is_taken_once(engine: TransformersEngine, made: Make) -> None:
    artifact = made("lora", 1)
    engine.load_adapter("one", artifact)
    with pytest.raises(ModelError, match="loaded already"):
        engine.load_adapter("one", artifact)


def test_a_changed_byte_is_refused(engine: TransformersEngine, made: Make) -> None:
    artifact = made("lora", 1)
    weights = artifact / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        engine.load_adapter("one", artifact)


def test_an_adapter_of_another_base_is_refused(engine: TransformersEngine, made: Make) -> None:
    artifact = made("lora", 1)
    manifest = read_manifest(artifact)
    write_manifest(artifact, manifest.model_copy(update={"base": manifest.base.model_copy(update={"digest": "0" * 64})}))
    with pytest.raises(ModelError, match="belongs to base 000000000000 in float32"):
        engine.load_adapter("one", artifact)


def test_a_version_of_another_precision_is_refused_by_name(opened: Open, made: Make) -> None:
    with pytest.raises(ModelError, match=r"in nf4 \(float32\)") as refused:
        opened().load_adapter("one", made("qlora", 1))
    assert refused.value.expected.endswith("in float32")
    with pytest.raises(ModelError, match="in float32"):
        opened("nf4").load_adapter("one", made("lora", 1))
    with pytest.raises(ModelError, match="in bfloat16"):
        opened().load_adapter("one", made("lora", 2, dtype="bfloat16"))


def test_a_manifest_without_quantisation_is_what_it_was_before_there_was_any(made: Make) -> None:
    assert "quantization" not in read_json(made("lora", 1) / MANIFEST)["base"]
    assert read_json(made("qlora", 1) / MANIFEST)["base"]["quantization"] == "nf4"


def test_a_whole_model_of_another_shape_is_refused(engine: TransformersEngine, made: Make) -> None:
    artifact = made("full", 1)
    weights = load_file(artifact / "model.safetensors")
    from safetensors.torch import save_file

    save_file({**weights, "model.norm.weight": torch.ones(31)}, artifact / "model.safetensors", metadata={"format": "pt"})
    manifest = read_json(artifact / MANIFEST)
    write_json(artifact / MANIFEST, {**manifest, "files": {**manifest["files"], "model.safetensors": _digest(artifact)}})
    with pytest.raises(ModelError, match=r"1 weights .* model\.norm\.weight"):
        engine.load_adapter("one", artifact)
    assert engine.adapters() == ()


def _digest(artifact: Path) -> str:
    from tasks.files import sha256_file

    return sha256_file(artifact / "model.safetensors")
