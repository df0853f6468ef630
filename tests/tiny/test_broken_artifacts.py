"""A version that cannot be loaded leaves those beside it as they were."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline_config.errors import ModelError
from tasks.engine import TransformersEngine
from tasks.files import file_digests
from tasks.manifest import MANIFEST, read_manifest, write_manifest
from tasks.methods import find_method
from tasks.models import load_base
from tasks.rows import Message
from tests.adapted import METHODS, make_artifact
from tests.builders import tiny_base

SHARING = [method for method in METHODS if not find_method(method).own_tree]
PROMPTS: list[list[Message]] = [[{"role": "user", "content": text}] for text in ("vpn", "the printer says paper jam again")]


def cut_short(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:40])


def of_another_shape(weights: Path) -> None:
    """The last tensor, so that all others have been put in place by then."""
    state = load_file(weights)
    last = sorted(state)[-1]
    save_file({**state, last: torch.cat([state[last], state[last]])}, weights)


def with_one_missing(weights: Path) -> None:
    state = load_file(weights)
    state.pop(sorted(state)[-1])
    save_file(state or {"nothing": torch.zeros(1)}, weights)


def broken(artifact: Path, breaks: Callable[[Path], None]) -> Path:
    """A copy whose manifest is right about bytes that are wrong."""
    copy = Path(shutil.copytree(artifact, artifact.with_name("broken")))
    breaks(copy / "adapter_model.safetensors")
    write_manifest(copy, read_manifest(artifact).model_copy(update={"files": file_digests(copy, leave_out=[MANIFEST])}))
    return copy


def texts(engine: TransformersEngine, name: str) -> list[str]:
    return [answer.text for answer in engine.answer(PROMPTS, adapter=name, max_new_tokens=8)]


@pytest.mark.parametrize("breaks", [cut_short, of_another_shape, with_one_missing])
@pytest.mark.parametrize("method", SHARING)
def test_a_failed_load_leaves_no_trace(tmp_path: Path, method: str, breaks: Callable[[Path], None]) -> None:
    config, quantization = tiny_base(tmp_path / "base"), find_method(method).quantization
    sound = {
        name: make_artifact(tmp_path / name, method, load_base(config, tmp_path, quantization), seed)
        for name, seed in (("one", 1), ("two", 2))
    }
    engine = TransformersEngine(load_base(config, tmp_path, quantization))
    engine.load_adapter("one", sound["one"])
    before = texts(engine, "one")
    with engine.active("one") as tree:
        weights = {name: tensor.clone() for name, tensor in tree.state_dict().items() if isinstance(tensor, torch.Tensor)}
    with pytest.raises(ModelError, match="do not fit this base"):
        engine.load_adapter("two", broken(sound["two"], breaks))
    assert engine.adapters() == ("one",)
    with engine.active("one") as tree:
        after = {name: tensor for name, tensor in tree.state_dict().items() if isinstance(tensor, torch.Tensor)}
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())
    assert texts(engine, "one") == before
    engine.load_adapter("two", sound["two"])
    assert texts(engine, "two") != before
    engine.unload_adapter("one")
    assert engine.adapters() == ("two",)


@pytest.mark.parametrize("names", [("desk-v10", "desk-v1"), ("0", "1")], ids=["one in the other", "numbers of layers"])
@pytest.mark.parametrize("method", SHARING)
def test_names_that_other_names_contain_are_loaded(tmp_path: Path, method: str, names: tuple[str, str]) -> None:
    config, quantization = tiny_base(tmp_path / "base"), find_method(method).quantization
    engine = TransformersEngine(load_base(config, tmp_path, quantization))
    for seed, name in enumerate(names):
        engine.load_adapter(name, make_artifact(tmp_path / name, method, load_base(config, tmp_path, quantization), seed))
    assert engine.adapters() == names
