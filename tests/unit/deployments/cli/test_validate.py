"""`tunegate validate`: preparation alone, with its exit codes."""

from pathlib import Path

import pytest

from deployments.cli.validate import validate
from pipeline_config.data import DataConfig
from pipeline_config.gates import GateConfig, OverfittingGate, ThresholdGate
from pipeline_config.model import ModelConfig
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.registry import RegistryConfig
from pipeline_config.training import TrainingConfig
from tests.builders import tiny_base
from tests.unit.tasks.data.data_builders import data_config, ticket, tickets, write_jsonl


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
