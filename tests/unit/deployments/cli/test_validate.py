"""`tunegate validate`: preparation alone, with its exit codes."""

import json
import re
import socket
from pathlib import Path

import datasets
import pytest

from deployments.cli.validate import validate
from pipeline_config.data import DataConfig, PresidioConfig, SensitiveConfig
from pipeline_config.errors import ConfigError
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.gates import GateConfig, OverfittingGate, ThresholdGate
from pipeline_config.loading import load_config
from pipeline_config.model import ModelConfig
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.registry import RegistryConfig
from pipeline_config.training import TrainingConfig
from tests.builders import tiny_base
from tests.unit.tasks.data.data_builders import data_config, ticket, tickets, write_jsonl
from tests.unit.tasks.test_presidio import IS_INSTALLED


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path / "workspace"


def pipeline(data: DataConfig, model: ModelConfig) -> PipelineConfig:
    gates: dict[str, GateConfig] = {
        "accuracy": ThresholdGate(kind="threshold", metric="accuracy", threshold=0.5),
        "overfitting": OverfittingGate(kind="overfitting", threshold=1.2),
    }
    return PipelineConfig(environment="local", data=data, model=model, gates=gates, registry=RegistryConfig(approval="auto"))


def test_fit_data_exits_with_zero_and_says_what_became_of_each_row(
    tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*tickets(), ticket(50, output=""), ticket(51, input="far too long " * 200)]
    data = data_config(write_jsonl(tmp_path / "a.jsonl", rows))
    assert validate(pipeline(data, tiny_base(tmp_path / "base"))) == 0
    shown = capsys.readouterr().out
    assert "2: email, network" in shown
    assert "quarantined: EMPTY_OUTPUT" in shown
    assert "quarantined: TOO_LONG" in shown
    files = list((workspace / "validate").glob("*/quarantine.parquet"))
    assert len(files) == 1
    assert str(files[0]) in shown


def test_a_metric_that_cannot_be_imported_is_said_before_anything_is_read(tmp_path: Path, workspace: Path) -> None:
    config = pipeline(data_config(write_jsonl(tmp_path / "a.jsonl", tickets())), ModelConfig())
    with pytest.raises(ConfigError, match="no metric 'no_such_package:politeness'"):
        validate(config.model_copy(update={"evaluation": EvaluationConfig(metrics=("no_such_package:politeness",))}))
    assert not workspace.exists()


def test_what_is_unusual_about_the_training_settings_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = pipeline(data_config(write_jsonl(tmp_path / "a.jsonl", tickets())), tiny_base(tmp_path / "base"))
    training = TrainingConfig.model_validate({"warmup_ratio": 0.5})
    assert validate(config.model_copy(update={"training": training})) == 0
    shown = capsys.readouterr().out
    assert "note        training.warmup_ratio is taken as training.warmup_steps = 0.5" in shown
    assert "note        training.warmup_steps is 0.5; usual is 0 to 0.2: " in shown


def test_refused_data_exits_with_three_and_says_why_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_config(write_jsonl(tmp_path / "tickets.jsonl", tickets()).with_name("tikets.jsonl"))
    assert validate(pipeline(data, ModelConfig(name_or_path=str(tmp_path / "no model is read for this")))) == 3
    captured = capsys.readouterr()
    assert captured.err.count("the file does not exist") == 1
    assert "did you mean `tickets.jsonl`?" in captured.err
    assert captured.out == ""


@pytest.mark.skipif(IS_INSTALLED, reason="the optional package presidio-analyzer is installed")
def test_presidio_that_is_not_installed_is_said_before_anything_is_read(tmp_path: Path) -> None:
    data = data_config(tmp_path / "nowhere.jsonl", sensitive=SensitiveConfig(presidio=PresidioConfig(entities=("US_SSN",))))
    with pytest.raises(ConfigError, match="presidio-analyzer is not installed") as caught:
        validate(pipeline(data, ModelConfig(name_or_path=str(tmp_path / "no model is read for this"))))
    assert "pip install 'tunegate[presidio]'" in caught.value.hint


def test_a_hub_data_set_is_named_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hub_folder(tmp_path / "queues")
    base = tiny_base(tmp_path / "base").name_or_path
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    source = {
        "path": f"hf:{folder}:train", "test_path": f"hf:{folder}:test", "labels": [], "instruction": "Name the queue.",
        "columns": {"instruction": None, "input": "text", "output": "queue"},
    }  # fmt: skip
    checks = ("data.checks.embedded_rows=0", "data.checks.near_duplicate_jaccard=null", "data.split.near_jaccard=null")
    config = load_config("smoke", None, [f"data.source={json.dumps(source)}", f"model.name_or_path={base}", *checks])
    assert validate(config) == 0
    shown = capsys.readouterr().out
    assert "2: email, network" in shown
    assert re.search(r"read\W+52\b", shown)
    assert re.search(r"test\W+12\b", shown)


def hub_folder(folder: Path) -> Path:
    """A data set as the hub holds it: a card, and Parquet files for each split; the answers are class labels."""
    features = datasets.Features({"text": datasets.Value("string"), "queue": datasets.ClassLabel(names=["network", "email"])})
    for split, numbers in (("train", range(20)), ("test", range(20, 26))):
        rows = [(f"{word} {number}", label) for number in numbers for label, word in enumerate(("vpn", "mail"))]
        texts, labels = zip(*rows, strict=True)
        table = datasets.Dataset.from_dict({"text": texts, "queue": labels}, features=features)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\nlanguage: [en]\n---\n# Queues\n", encoding="utf-8")
    return folder


def refuse(*_: object, **__: object) -> object:
    raise OSError("there is no network")
