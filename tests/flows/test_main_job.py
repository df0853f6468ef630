"""The main job on a tiny model against real Prefect, MLflow and model servers: what passes goes live, what does not goes nowhere."""

import getpass
import json
import subprocess
import time
from pathlib import Path

import httpx
import jsonschema
import pytest

from pipeline_config.environment import Machine
from tasks.files import ledger_path, run_folder, version_cache
from tasks.ledger import Ledger
from tasks.registry.mlflow_registry import MlflowRegistry
from tests.projects import Run, run_pipeline, write_project

pytestmark = pytest.mark.services

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "summary.schema.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def first(machine_up: Machine, project: Path) -> Run:
    return run_pipeline(machine_up, "--config", str(project))


def state_of(machine: Machine, flow: str, model: str, version: int) -> tuple[str, str]:
    """Starts a deployment as anybody could, and waits for its end."""
    from prefect.deployments import run_deployment

    run = run_deployment(f"{flow}/{flow}", parameters={"model_name": model, "version": version}, as_subflow=False, timeout=120)
    assert run.state is not None  # type: ignore[union-attr]
    return run.state.name or "", run.state.message or ""  # type: ignore[union-attr]


def test_a_pass_goes_live(machine_up: Machine, first: Run) -> None:
    assert first.code == 0, first.output
    summary = first.summary
    jsonschema.validate(summary, SCHEMA)
    assert (summary["outcome"], summary["verdict"]) == ("passed", "pass")
    name, version = summary["model"]["name"], summary["model"]["version"]
    live = Ledger(ledger_path(machine_up.workspace)).live(name)
    assert live is not None
    assert (live.version, live.artifact_digest, live.policy) == (version, summary["artifact_digest"], "auto")
    registry = MlflowRegistry(machine_up.mlflow_url)
    assert registry.aliases(name) == {"champion": version}
    assert (registry.tags(name, version) or {})["tunegate.verdict"] == "pass"


def test_the_curl_line_works_when_pasted(first: Run) -> None:
    line = next(line for line in first.output.splitlines() if line.startswith("curl "))
    assert first.summary["endpoint"]["url"] in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == first.summary["model"]["adapter"]


def test_the_endpoint_answers_what_was_judged(machine_up: Machine, first: Run) -> None:
    adapter = first.summary["model"]["adapter"]
    lines = (version_cache(machine_up.workspace) / adapter / "evidence" / "parity.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    for model in (first.summary["model"]["name"], "champion", adapter):
        answer = httpx.post(f"{machine_up.server_url}/v1/chat/completions", json={"model": model, "messages": row["messages"]}, timeout=60)
        assert answer.json()["choices"][0]["message"]["content"] == row["answer"]


def test_every_stage_is_accounted_for(first: Run) -> None:
    stages = first.summary["stages"]
    assert {stage["status"] for stage in stages.values()} == {"completed"}
    rows = first.summary["rows"]
    assert rows["read"] == sum(count for name, count in rows.items() if name != "read")
    assert all("auto" in note for note in first.summary["notes"] if "approval" in note)


def test_what_was_found_in_the_data_is_on_a_page_and_on_the_tracking_run(machine_up: Machine, first: Run) -> None:
    from mlflow import MlflowClient

    page = run_folder(machine_up.workspace, first.summary["run_id"]) / "data-report.html"
    assert f"{first.summary['rows']['read']} rows read" in page.read_text()
    assert any(note.startswith("data: TOO_FEW_ROWS") for note in first.summary["notes"])
    client, run_id = MlflowClient(machine_up.mlflow_url), first.summary["urls"]["mlflow_run"].rsplit("/", 1)[-1]
    assert page.name in {file.path for file in client.list_artifacts(run_id)}
    used = client.get_run(run_id).inputs.dataset_inputs
    assert len(used) == 3
    assert {each.dataset.digest for each in used} == {first.summary["data_digest"][:36]}


def test_the_runs_page_and_its_model_card_belong_to_the_version(machine_up: Machine, first: Run) -> None:
    from huggingface_hub import ModelCard
    from mlflow import MlflowClient
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    page = Path(first.summary["report"])
    assert page == run_folder(machine_up.workspace, first.summary["run_id"]) / "report.html"
    adapter = first.summary["model"]["adapter"]
    assert f"{adapter} is live." in page.read_text()
    assert f"report: {page}" in first.output
    assert not [note for note in first.summary["notes"] if note.startswith("report:")]
    client, model = MlflowClient(machine_up.mlflow_url), first.summary["model"]
    version = client.get_model_version(model["name"], str(model["version"]))
    assert version.source.endswith(f"/{version.run_id}/artifacts/version")
    files = {file.path for folder in (None, "figures") for file in client.list_artifacts(version.run_id, folder)}
    assert {"report.html", "README.md", "figures/gates.svg", "figures/loss.svg", "figures/confusion.svg"} <= files
    assert "report.html" in version.description
    evidence = {file.path.rpartition("/")[2] for file in client.list_artifacts(version.run_id, "version/evidence")}
    assert {"report.html", "README.md", "evidence.json", "gate_report.json"} <= evidence
    tags = client.get_run(version.run_id).data.tags
    assert (tags["tunegate.version"], tags["tunegate.version_url"]) == (adapter, first.summary["urls"]["model_version"])
    assert version.tags["tunegate.mlflow_run"] == first.summary["urls"]["mlflow_run"]
    assert version.tags["tunegate.prefect_run"] == first.summary["urls"]["prefect_run"]
    card = ModelCard.load(client.download_artifacts(version.run_id, "README.md"))
    assert card.data.model_name == model["name"]
    with get_client(sync_client=True) as prefect:
        keys = ("run-report", "run-gates", "run-loss", "run-confusion")
        found = prefect.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=list(keys))))
    assert {artifact.key: artifact.type for artifact in found} == dict.fromkeys(keys[1:], "image") | {"run-report": "markdown"}


def test_the_version_that_is_live_can_be_used_without_the_pipeline(machine_up: Machine, first: Run, tmp_path: Path) -> None:
    import mlflow

    name, adapter = first.summary["model"]["name"], first.summary["model"]["adapter"]
    rows = (version_cache(machine_up.workspace) / adapter / "evidence" / "parity.jsonl").read_text().splitlines()
    asked = [json.loads(row) for row in rows[:5]]
    mlflow.set_tracking_uri(machine_up.mlflow_url)
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion", model_config={"cache": str(tmp_path)})
    answers = model.predict([{"messages": row["messages"]} for row in asked])["answer"].tolist()
    assert answers == [row["answer"] for row in asked]


def test_a_second_run_with_nothing_changed_reuses_everything(machine_up: Machine, first: Run, project: Path) -> None:
    again = run_pipeline(machine_up, "--config", str(project))
    assert again.code == 0, again.output
    assert {name: stage["status"] for name, stage in again.summary["stages"].items()} == dict.fromkeys(again.summary["stages"], "reused")
    assert again.summary["model"] == first.summary["model"]
    assert len([e for e in Ledger(ledger_path(machine_up.workspace)).entries() if e.model_name == first.summary["model"]["name"]]) == 1


def test_an_untrained_adapter_goes_nowhere_whoever_starts_it(machine_up: Machine, first: Run, project: Path) -> None:
    run = run_pipeline(machine_up, "--config", str(project), "--set", "training.epochs=0")
    assert run.code == 3, run.output
    summary = run.summary
    jsonschema.validate(summary, SCHEMA)
    assert (summary["outcome"], summary["endpoint"]) == ("gate_failed", None)
    assert next(g for g in summary["gates"] if g["name"] == "beats_base")["outcome"] == "fail"
    name, version = summary["model"]["name"], summary["model"]["version"]
    registry = MlflowRegistry(machine_up.mlflow_url)
    assert (registry.tags(name, version) or {})["tunegate.verdict"] == "fail"
    before = registry.aliases(name), Ledger(ledger_path(machine_up.workspace)).head()
    for flow in ("promotion", "rollout"):
        state, message = state_of(machine_up, flow, name, version)
        assert state == "Refused"
        assert "verdict is fail" in message
    assert (registry.aliases(name), Ledger(ledger_path(machine_up.workspace)).head()) == before
    assert version not in before[0].values()


def test_a_run_with_canaries_goes_nowhere(machine_up: Machine, project: Path) -> None:
    run = run_pipeline(machine_up, "--config", str(project), "--set", "data.canaries=2 training.epochs=1 registry.model_name=tiny-canaries")
    assert run.code == 3, run.output
    assert next(g for g in run.summary["gates"] if g["name"] == "no_canaries")["outcome"] == "fail"
    assert MlflowRegistry(machine_up.mlflow_url).aliases("tiny-canaries") == {}
    jsonschema.validate(run.summary, SCHEMA)


def test_reworded_rows_are_trained_on_and_accounted_for(machine_up: Machine, project: Path) -> None:
    """Where WordNet is not there, the run goes on without its operator and says so."""
    run = run_pipeline(
        machine_up, "--config", str(project), "--set", "augmentation.synonym.ratio=0.5 training.epochs=1 registry.model_name=tiny-augmented"
    )
    assert run.summary.get("outcome", "error") != "error", f"{run.code}: {run.output}"
    jsonschema.validate(run.summary, SCHEMA)
    assert run.summary["stages"]["prepare"]["status"] == "completed"
    augmentation = run.summary["augmentation"]
    (operator,) = augmentation["operators"]
    assert operator["asked"] == operator["accepted"] + sum(operator["rejected"].values())
    assert augmentation["rows"] == operator["accepted"]
    assert any("augmentation: synonym" in note for note in run.summary["notes"])
    assert (operator["missing"] is None) == (operator["asked"] > 0)
    assert "Augmentation" in Path(run.summary["report"]).read_text()


def test_an_operator_without_measured_lift_is_off_in_the_training_that_counts(machine_up: Machine, project: Path) -> None:
    changes = "augmentation.synonym.ratio=0.5 augmentation.ablate=true augmentation.ablation_steps=2 training.epochs=1"
    run = run_pipeline(machine_up, "--config", str(project), "--set", f"{changes} registry.model_name=tiny-ablated")
    assert run.summary.get("outcome", "error") != "error", f"{run.code}: {run.output}"
    jsonschema.validate(run.summary, SCHEMA)
    augmentation = run.summary["augmentation"]
    (operator,) = augmentation["operators"]
    if operator["missing"] is not None:
        pytest.skip(operator["missing"])
    (arm,) = augmentation["ablation"]["arms"]
    assert augmentation["ablation"]["steps"] == 2
    assert arm["kept"] == (operator["dropped"] is None) == (arm["interval"][0] > 0)
    assert (augmentation["rows"] > 0) == arm["kept"]
    assert "What each operator is worth" in Path(run.summary["report"]).read_text()


def test_too_few_test_rows_are_held(machine_up: Machine, project: Path) -> None:
    run = run_pipeline(machine_up, "--config", str(project), "--set", "data.max_test_rows=40 registry.model_name=tiny-held")
    assert run.code == 4, run.output
    assert run.summary["verdict"] == "hold"
    assert MlflowRegistry(machine_up.mlflow_url).aliases("tiny-held") == {}


def test_a_planted_overfit_is_refused_by_the_overfitting_check_alone(machine_up: Machine, tmp_path: Path) -> None:
    training = {
        "epochs": 60, "learning_rate": 0.02, "load_best_model_at_end": False, "early_stopping_patience": None, "evals_per_epoch": 1,
        "lora": {"lora_dropout": 0.0},
    }  # fmt: skip
    project = write_project(
        tmp_path / "overfit", rows=400, noise=0.3, training=training, gates={"min_accuracy": 0.3, "max_perplexity": 1e9}
    )
    run = run_pipeline(machine_up, "--config", str(project), "--set", "data.max_train_rows=40")
    assert run.code == 3, run.output
    outcomes = {gate["name"]: gate["outcome"] for gate in run.summary["gates"]}
    assert outcomes.pop("no_overfitting") == "fail"
    assert set(outcomes.values()) <= {"pass", "not_applicable"}
    assert run.summary["stages"]["promote"]["status"] == "skipped"
    assert MlflowRegistry(machine_up.mlflow_url).aliases(run.summary["model"]["name"]) == {}


def test_a_reviewer_decides_in_the_registry(machine_up: Machine, project: Path) -> None:
    options = [
        "--config",
        str(project),
        "--set",
        "registry.approval=mlflow_review registry.model_name=tiny-reviewed environment=production",
    ]
    run = run_pipeline(machine_up, *options)
    assert run.code == 5, run.output
    assert (run.summary["outcome"], run.summary["endpoint"]) == ("awaiting_approval", None)
    version, registry = run.summary["model"]["version"], MlflowRegistry(machine_up.mlflow_url)
    assert registry.aliases("tiny-reviewed") == {"challenger": version}
    assert (registry.tags("tiny-reviewed", version) or {})["tunegate.requester"] == getpass.getuser()
    assert state_of(machine_up, "promotion", "tiny-reviewed", version)[0] == "AwaitingApproval"
    registry.set_tag("tiny-reviewed", version, "approval_status", "approved")
    deadline = time.monotonic() + 60
    while "live by" not in (registry.tags("tiny-reviewed", version) or {})["approval_note"]:
        assert time.monotonic() < deadline, registry.tags("tiny-reviewed", version)
        time.sleep(0.5)
    assert registry.aliases("tiny-reviewed") == {"champion": version}
    live = Ledger(ledger_path(machine_up.workspace)).live("tiny-reviewed")
    assert live is not None
    assert live.actor == "unauthenticated (MLflow tag)"


def test_another_seed_meets_its_champion(machine_up: Machine, first: Run, project: Path) -> None:
    run = run_pipeline(machine_up, "--config", str(project), "--set", "training.seed=18")
    gate = next(gate for gate in run.summary["gates"] if gate["name"] == "not_worse_than_champion")
    assert first.summary["model"]["adapter"] in gate["reason"]
    assert gate["outcome"] in ("pass", "fail", "hold")
    assert gate["interval"] is not None


def test_an_error_of_the_data_is_one_clear_message(machine_up: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "broken", data={"source": {"path": "missing.csv"}})
    run = run_pipeline(machine_up, "--config", str(project))
    assert run.code == 1
    assert run.summary["outcome"] == "error"
    assert "missing.csv" in run.summary["error"]
    assert run.summary["stages"]["prepare"]["status"] == "failed"


def test_a_wrong_configuration_exits_2_before_anything_starts(machine_up: Machine) -> None:
    run = run_pipeline(machine_up, "--set", "training.epoch=1")
    assert (run.code, run.summary) == (2, {})
    assert "did you mean `epochs`?" in run.output
