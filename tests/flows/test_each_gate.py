"""One run for each kind of gate that closes: the gate alone is enough, and nothing is promoted or deployed."""

from pathlib import Path

import pytest

from pipeline_config.environment import Machine
from tasks.files import ledger_path
from tasks.ledger import Ledger
from tasks.registry.mlflow_registry import MlflowRegistry
from tests.projects import Run, run_pipeline, write_project

pytestmark = pytest.mark.services

OPEN = "gates.min_accuracy=0 gates.max_perplexity=1e9 gates.beats_base=-1 gates.not_worse_than_champion=0.99 gates.nothing_given_away=null"
"""Nothing that the gates of the project would refuse."""
CLOSED = {
    "threshold": "{kind: threshold, metric: accuracy, threshold: 1.0}",
    "improvement": "{kind: improvement, threshold: 0.99}",
    "slices": "{kind: slices, by: label, threshold: 1.0, min_rows: 10}",
    "safety": "{kind: safety}",
    "latency": "{kind: threshold, metric: latency_ms, threshold: 0.001, direction: max}",
    "size": "{kind: threshold, metric: artifact_mib, threshold: 0.0001, direction: max}",
}
AGAINST_CHAMPION = {
    "non_inferiority": "{kind: non_inferiority, threshold: 0.1}",
    "superiority": "{kind: superiority}",
    "slices_against_champion": "{kind: slices, test: non_inferiority, threshold: 0.2, min_rows: 10}",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of which some say nothing of the text, and one is an address: where it is given wrongly, the answer gives it away."""
    folder = tmp_path_factory.mktemp("closed")
    project = write_project(folder, noise=0.3)
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"label": "billing"', '"label": "billing@example.com"'))
    return project


@pytest.fixture(scope="module")
def champion(machine_up: Machine, project: Path) -> Run:
    run = run_pipeline(machine_up, "--config", str(project), "--set", f"{OPEN} registry.model_name=gates-champion")
    assert run.code == 0, run.output
    return run


def require_closed(machine: Machine, run: Run, kind: str) -> None:
    """The run failed by this gate alone, and its version went nowhere."""
    assert run.code == 3, run.output
    outcomes = {gate["name"]: gate["outcome"] for gate in run.summary["gates"]}
    assert outcomes.pop(kind) == "fail"
    assert "fail" not in outcomes.values(), outcomes
    assert (run.summary["outcome"], run.summary["endpoint"]) == ("gate_failed", None)
    assert run.summary["stages"]["promote"]["status"] == "skipped"
    name, version = run.summary["model"]["name"], run.summary["model"]["version"]
    assert version not in MlflowRegistry(machine.mlflow_url).aliases(name).values()
    assert version not in {entry.version for entry in Ledger(ledger_path(machine.workspace)).entries() if entry.model_name == name}


@pytest.mark.parametrize("kind", CLOSED)
def test_a_gate_of_each_kind_closes_production_alone(machine_up: Machine, champion: Run, project: Path, kind: str) -> None:
    model = f"registry.model_name=gates-{kind}"
    seed = " training.seed=18" if kind == "improvement" else ""  # an artifact of its own: a third look would compare nothing
    run = run_pipeline(machine_up, "--config", str(project), "--set", f"{OPEN} {model}{seed}", "--set", f"gates.{kind}={CLOSED[kind]}")
    require_closed(machine_up, run, kind)


@pytest.mark.parametrize("kind", AGAINST_CHAMPION)
def test_a_model_that_is_worse_than_the_champion_stays_out(machine_up: Machine, champion: Run, project: Path, kind: str) -> None:
    untrained = f"{OPEN} registry.model_name=gates-champion training.epochs=0 training.seed={len(kind)}"
    run = run_pipeline(machine_up, "--config", str(project), "--set", untrained, "--set", f"gates.{kind}={AGAINST_CHAMPION[kind]}")
    require_closed(machine_up, run, kind)
    assert champion.summary["model"]["adapter"] in next(g["reason"] for g in run.summary["gates"] if g["name"] == "not_worse_than_champion")
