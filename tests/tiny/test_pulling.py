"""A version that leaves this project answers as it was judged: by plain PEFT, by transformers, merged, and by mlflow.pyfunc."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pipeline_config.errors import ConfigError, ModelError, RegistryError
from tasks.files import file_digests, read_json
from tasks.registry.merging import prove_merged, read_answers
from tasks.registry.port import EVIDENCE_FOLDER, MODEL_FOLDER, PARITY
from tasks.registry.pulling import pull
from tasks.rows import prompt_of
from tests.adapted import METHODS
from tests.fakes import FakeBaseStore, FakeRegistry
from tests.packaged import MODEL, Packaged, package


def pulled(packaged: Packaged, *, merged: bool = False, **settings: object) -> Path:
    target = packaged.root / "out" / "pulled"
    pull(packaged.registry, packaged.bases, MODEL, packaged.version, packaged.cache, target, merged=merged, **settings)  # type: ignore[arg-type]
    return target


def run_usage(folder: Path, packaged: Packaged, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs the code of USE.md in its folder, with each test row for the chat in it."""
    [code] = re.findall(r"```python\n(.*?)```", (folder / "USE.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(folder)
    capsys.readouterr()
    for row in packaged.rows[:3]:
        exec(re.sub(r"(?m)^chat = .*$", lambda _, row=row: f"chat = {prompt_of(row)!r}", code), {})  # type: ignore[misc]
    return capsys.readouterr().out.split("\n")[:-1]


@pytest.mark.parametrize("method", METHODS)
def test_the_code_beside_a_pulled_version_gives_the_answers_that_were_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    packaged = package(tmp_path, method)
    folder = pulled(packaged)
    assert "\n".join(run_usage(folder, packaged, capsys, monkeypatch)) == "\n".join(packaged.answers[:3])
    assert len(set(packaged.answers)) > 1
    listed = read_json(folder / "version.json")
    assert (listed["version"], listed["verdict"], listed["method"], listed["layout"]) == (
        f"{MODEL}-v1", "pass", method, {"full": "model", "adapter": "tunegate"}.get(method, "adapter"),
    )  # fmt: skip
    assert listed["files"] == file_digests(folder, leave_out=["version.json"])
    assert ("need tunegate" in (folder / "USE.md").read_text()) is (method == "adapter")
    assert str(tmp_path) not in (folder / "USE.md").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_mlflow_runs_a_version_and_its_answers_are_those_that_were_judged(tmp_path: Path, method: str) -> None:
    import mlflow.pyfunc

    packaged = package(tmp_path, method)
    assert isinstance(packaged.registry, FakeRegistry)
    assert isinstance(packaged.bases, FakeBaseStore)
    files, base = packaged.registry.files(MODEL, 1), next(iter(packaged.bases.stored.values()), tmp_path)
    assert str(tmp_path) not in (files / "MLmodel").read_text()
    assert "/" not in re.findall(r"model_code_path: (.*)", (files / "MLmodel").read_text())[0]
    model = mlflow.pyfunc.load_model(str(files), model_config={"base": str(base)})
    asked = [{"messages": [dict(turn) for turn in prompt_of(row)]} for row in packaged.rows[:3]]
    assert model.predict(asked)["answer"].tolist() == packaged.answers[:3]
    # The instruction stands before a chat that has none, as the endpoint does it.
    assert model.predict([{"messages": asked[0]["messages"][1:]}])["answer"].tolist() == packaged.answers[:1]
    assert len(model.predict(asked[:1], params={"max_new_tokens": 1})["answer"][0]) < len(packaged.answers[0])
    assert model.predict(model.input_example)["answer"].tolist() == packaged.answers[:1]


_WITHOUT_US = """
import json, sys
sys.modules |= dict.fromkeys(("tasks", "pipeline_config", "flows", "deployments"))  # whoever imports one of them gets an ImportError
import mlflow
known, unknown, base, chat = json.loads(sys.argv[1])
print(json.dumps(mlflow.pyfunc.load_model(known, model_config={"base": base}).predict([{"messages": chat}])["answer"].tolist()))
mlflow.pyfunc.load_model(unknown, model_config={"base": base})
"""


def test_mlflow_needs_tunegate_for_bottleneck_adapters_only_and_says_so(tmp_path: Path) -> None:
    known, unknown = package(tmp_path / "known", "lora"), package(tmp_path / "unknown", "adapter")
    assert isinstance(known.registry, FakeRegistry)
    assert isinstance(unknown.registry, FakeRegistry)
    assert isinstance(known.bases, FakeBaseStore)
    files = [str(registry.files(MODEL, 1)) for registry in (known.registry, unknown.registry)]
    asked = json.dumps([*files, str(next(iter(known.bases.stored.values()))), prompt_of(known.rows[0])])
    done = subprocess.run([sys.executable, "-c", _WITHOUT_US, asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == known.answers[:1]
    assert (done.returncode, "PEFT does not know these weights: they need tunegate" in done.stderr) == (1, True)


def test_mlflow_masks_what_stood_masked_in_training(tmp_path: Path) -> None:
    import mlflow.pyfunc

    packaged = package(tmp_path, "lora", masked_kinds=("email",))
    assert isinstance(packaged.registry, FakeRegistry)
    assert isinstance(packaged.bases, FakeBaseStore)
    base = next(iter(packaged.bases.stored.values()))
    model = mlflow.pyfunc.load_model(str(packaged.registry.files(MODEL, 1)), model_config={"base": str(base)})
    texts = ("mail jane.doe@corp.com", "mail <EMAIL>", "mail jane")
    by_mail, masked, other = model.predict([{"messages": [{"role": "user", "content": text}]} for text in texts])["answer"]
    assert (by_mail == masked, masked == other) == (True, False)
    assert "email stood masked in training" in (pulled(packaged) / "USE.md").read_text()
    assert "email stood masked in training" in packaged.parts.description


def test_peft_finds_the_base_of_a_pulled_version_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import AutoPeftModelForCausalLM

    folder = pulled(package(tmp_path, "lora"))
    monkeypatch.chdir(folder)
    assert AutoPeftModelForCausalLM.from_pretrained("adapter").active_adapter == "default"
    changed = read_json(folder / "version.json")["changed"]
    assert list(changed) == ["adapter/adapter_config.json"]


def test_a_changed_byte_of_base_or_adapter_is_not_loaded_by_mlflow(tmp_path: Path) -> None:
    import mlflow.pyfunc

    packaged = package(tmp_path, "lora")
    assert isinstance(packaged.registry, FakeRegistry)
    assert isinstance(packaged.bases, FakeBaseStore)
    files, base = packaged.registry.files(MODEL, 1), next(iter(packaged.bases.stored.values()))
    flip(base / "model.safetensors")
    with pytest.raises(ValueError, match=r"not those that the version was registered with: model\.safetensors"):
        mlflow.pyfunc.load_model(str(files), model_config={"base": str(base)})
    flip(files / MODEL_FOLDER / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"registered with: adapter_model\.safetensors"):
        mlflow.pyfunc.load_model(str(files), model_config={"base": str(base)})


@pytest.mark.parametrize("method", ["lora", "qlora", "ia3"])
def test_a_merged_model_answers_as_its_adapter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    packaged = package(tmp_path, method)
    folder = pulled(packaged, merged=True)
    assert {path.name for path in folder.iterdir()} == {"model", "README.md", "USE.md", "version.json"}
    listed = read_json(folder / "version.json")
    assert (listed["layout"], listed["answers_compared"]) == ("merged", 12)
    with safe_open(folder / "model" / "model.safetensors", framework="pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float32}  # noqa: SIM118
    assert "\n".join(run_usage(folder, packaged, capsys, monkeypatch)) == "\n".join(packaged.answers[:3])


@pytest.mark.parametrize(
    ("method", "why"), [("full", "one whole model already"), ("prefix", "cannot be folded"), ("prompt", "cannot be folded"),
                        ("adapter", "cannot be folded")],
)  # fmt: skip
def test_what_cannot_be_merged_is_refused_and_leaves_nothing(tmp_path: Path, method: str, why: str) -> None:
    packaged = package(tmp_path, method)
    with pytest.raises(ModelError, match=why):
        pulled(packaged, merged=True)
    assert os.listdir(tmp_path / "out") == []


def test_a_merged_model_that_answers_otherwise_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    packaged = package(tmp_path, "lora", rows=60)
    with pytest.raises(ModelError, match=r"\d+ of 50 answers of the merged model differ from the adapter's; row "):
        pulled(packaged, merged=True, dtype="bfloat16")
    assert os.listdir(tmp_path / "out") == []


def test_a_merged_model_is_held_against_the_adapter_of_this_machine_where_another_one_judged(tmp_path: Path) -> None:
    packaged = package(tmp_path, "lora")
    assert isinstance(packaged.bases, FakeBaseStore)
    base, folder = next(iter(packaged.bases.stored.values())), pulled(packaged, merged=True) / "model"
    rows = read_answers(packaged.parts.evidence[PARITY])
    elsewhere = [rows[0].model_copy(update={"answer": "as another machine computed it"}), *rows[1:]]
    prove_merged(folder, packaged.artifact, base, elsewhere)
    with pytest.raises(ModelError, match="of 12 answers of the merged model differ"):
        prove_merged(base, packaged.artifact, base, rows)


def test_a_target_with_files_is_left_alone(tmp_path: Path) -> None:
    packaged = package(tmp_path, "lora")
    (tmp_path / "out" / "pulled").mkdir(parents=True)
    mine = tmp_path / "out" / "pulled" / "mine"
    mine.touch()
    with pytest.raises(ConfigError, match="not empty"):
        pulled(packaged)
    assert os.listdir(tmp_path / "out" / "pulled") == ["mine"]
    mine.unlink()
    assert (pulled(packaged) / "adapter").is_dir()


def test_a_base_whose_bytes_were_changed_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    packaged = package(tmp_path, "lora")
    assert isinstance(packaged.bases, FakeBaseStore)
    flip(next(iter(packaged.bases.stored.values())) / "model.safetensors")
    with pytest.raises(RegistryError, match=r"not those that the version recorded: model\.safetensors"):
        pulled(packaged)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("part", [f"{MODEL_FOLDER}/adapter_model.safetensors", f"{EVIDENCE_FOLDER}/report.html", "MLmodel"])
def test_a_version_whose_bytes_were_changed_is_refused(tmp_path: Path, part: str) -> None:
    packaged = package(tmp_path, "lora")
    assert isinstance(packaged.registry, FakeRegistry)
    flip(packaged.registry.files(MODEL, 1) / part)
    with pytest.raises(ModelError, match=r"do not match the manifest|of its evidence were changed"):
        pulled(packaged)


def test_two_versions_of_one_base_store_it_once(tmp_path: Path) -> None:
    first = package(tmp_path / "one", "lora")
    second = package(tmp_path / "two", "ia3", bases=first.bases)
    assert isinstance(first.bases, FakeBaseStore)
    assert len(first.bases.stored) == 1
    assert (pulled(second) / "base" / "model.safetensors").read_bytes() == (tmp_path / "one" / "base" / "model.safetensors").read_bytes()


def test_what_mlflow_shows_of_a_version(tmp_path: Path) -> None:
    from mlflow.models import Model

    packaged = package(tmp_path, "adapter")
    assert isinstance(packaged.registry, FakeRegistry)
    shown = Model.load(str(packaged.registry.files(MODEL, 1)))
    assert shown.signature.inputs.input_names() == ["messages"]
    assert shown.signature.outputs.input_names() == ["answer"]
    assert [param.name for param in shown.signature.params] == ["max_new_tokens"]
    assert "need tunegate" in shown.metadata["needs_tunegate"]
    example = json.loads((packaged.registry.files(MODEL, 1) / "input_example.json").read_text())
    assert example == [{"messages": [dict(turn) for turn in prompt_of(packaged.rows[0])]}]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
