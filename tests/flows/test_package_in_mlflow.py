"""A version in a real MLflow server: its page, `mlflow.pyfunc` that finds the base there, and what `tunegate pull` lays out."""

from pathlib import Path

import pytest

from deployments.cli.pull import pull_version
from pipeline_config.environment import Machine
from tasks.files import file_digests
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.mlflow_bases import MlflowBaseStore
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.verdict import verified_evidence
from tasks.rows import prompt_of
from tests.packaged import package

pytestmark = [pytest.mark.services, pytest.mark.slow]


def test_a_version_leaves_mlflow_and_answers_as_it_was_judged(
    machine_up: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    registry, bases = MlflowRegistry(machine_up.mlflow_url), MlflowBaseStore(machine_up.mlflow_url)
    run = MlflowTracker(machine_up.mlflow_url).open_run("package", "run", {}).run_id
    packaged = package(tmp_path / "made", "lora", registry=registry, bases=bases, run_id=run, model_name="leaving")

    assert verified_evidence(registry, "leaving", packaged.version, tmp_path / "versions").evidence_digest is not None

    mlflow.set_tracking_uri(machine_up.mlflow_url)
    model = mlflow.pyfunc.load_model(f"models:/leaving/{packaged.version}", model_config={"cache": str(tmp_path / "bases")})
    asked = [{"messages": [dict(turn) for turn in prompt_of(row)]} for row in packaged.rows[:3]]
    assert model.predict(asked)["answer"].tolist() == packaged.answers[:3]
    [base] = (tmp_path / "bases").iterdir()
    assert (base / "model.safetensors").read_bytes() == (tmp_path / "made" / "base" / "model.safetensors").read_bytes()

    pull_version(f"leaving-v{packaged.version}", tmp_path / "out", None, machine_up, merged=False, dtype=None)
    assert f"leaving-v{packaged.version} is in {tmp_path / 'out'}: base and adapter" in capsys.readouterr().out
    assert file_digests(tmp_path / "out" / "base") == file_digests(base)

    pull_version(str(packaged.version), tmp_path / "merged", "leaving", machine_up, merged=True, dtype=None)
    assert "one merged model, whose 12 test answers are the adapter's" in capsys.readouterr().out
