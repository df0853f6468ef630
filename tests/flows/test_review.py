"""Reviews with real servers: the tag on the version's page, the form in Prefect's, the watching service and the sweep."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.registration import register_deployments
from deployments.services.prefect_api import open_client
from flows.promotion import promotion
from flows.sweep import sweep
from pipeline_config.environment import Machine
from tasks.ledger import REJECTION
from tasks.registry.port import EXPIRES_TAG, NOTE_TAG, STATUS_REASON_TAG, STATUS_TAG
from tests.stages import Stage, make_stage

pytestmark = [pytest.mark.services, pytest.mark.slow]

MINUTE = 60.0
"""What is promised for a reviewer's tag."""
PATIENCE = 180.0
"""For what nothing is promised, such as how long a worker takes to start a process."""


@pytest.fixture
def stage(machine_up: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    register_deployments(machine_up, lambda _: None)
    return make_stage(machine_up, tmp_path, request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-"))


def within(seconds: float, condition: Callable[[], Any], what: str) -> Any:
    """Polls real servers; fails with what did not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def runs_of(stage: Stage, version: int) -> list[dict[str, Any]]:
    """Promotion runs for a version, newest first."""
    with open_client(stage.machine) as client:
        body = {"flows": {"name": {"any_": ["promotion"]}}, "sort": "START_TIME_DESC"}
        runs = client.post("/flow_runs/filter", json=body).raise_for_status().json()
    return [run for run in runs if run["parameters"] == {"model_name": stage.model, "version": version}]


def test_an_approved_version_goes_live_within_a_minute_by_itself_and_once(stage: Stage) -> None:
    version = stage.add(1, "mlflow_review")
    state = promotion(stage.model, version, return_state=True)
    assert (state.name, stage.live()) == ("AwaitingApproval", None)
    assert stage.registry.aliases(stage.model) == {"challenger": version}
    assert "set tag approval_status to exactly approved or rejected" in stage.tag(version, NOTE_TAG)
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "approved")
    stage.registry.set_tag(stage.model, version, STATUS_REASON_TAG, "read the report")
    within(MINUTE, lambda: "live by ledger entry" in stage.tag(version, NOTE_TAG), "the roll-out")
    assert stage.live() == stage.answers() == f"{stage.model}-v1"
    assert stage.registry.aliases(stage.model) == {"champion": version}
    entry = stage.ledger.live(stage.model)
    assert entry is not None
    assert (entry.policy, entry.actor, entry.reason) == ("mlflow_review", "unauthenticated (MLflow tag)", "read the report")
    swept = sweep(return_state=True)
    assert swept.is_completed(), swept.message
    time.sleep(6)
    assert len([run for run in runs_of(stage, version) if run["deployment_id"]]) == 1


def test_a_rejection_is_recorded_with_its_reason_and_the_champion_stays(stage: Stage) -> None:
    promotion(stage.model, stage.add(1), return_state=True)
    version = stage.add(2, "mlflow_review")
    stage.registry.set_tag(stage.model, version, STATUS_REASON_TAG, "wrong data")
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "rejected")
    within(MINUTE, lambda: "rejected by ledger entry" in stage.tag(version, NOTE_TAG), "the rejection")
    [run] = runs_of(stage, version)
    assert within(10, lambda: runs_of(stage, version)[0]["state_name"] == "Rejected", f"the end of run {run['id']}")
    entry = stage.ledger.entries()[-1]
    assert (entry.policy, entry.concerns, "wrong data" in entry.reason) == (REJECTION, f"{stage.model}-v2", True)
    assert stage.live() == stage.answers() == f"{stage.model}-v1"
    assert stage.registry.aliases(stage.model) == {"champion": 1}


def test_what_is_mistyped_is_answered_within_a_minute_and_may_be_corrected(stage: Stage) -> None:
    version = stage.add(1, "mlflow_review")
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "Approved ")
    within(MINUTE, lambda: "type exactly approved or rejected" in stage.tag(version, NOTE_TAG), "the answer")
    assert runs_of(stage, version) == []
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "approved")
    within(MINUTE, lambda: stage.live() is not None, "the promotion")


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        ({"approval_expires_hours": 0.0001}, "the time to approve it ended"),
        ({"requester_may_approve": False}, "nobody was logged in"),
        ({"require_authenticated_reviewer": True}, "nobody was logged in"),
    ],
)
def test_an_approval_that_does_not_count_is_answered_within_a_minute(stage: Stage, rules: dict[str, Any], answer: str) -> None:
    version = stage.add(1, "mlflow_review", rules=rules)
    time.sleep(0.5)
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "approved")
    within(MINUTE, lambda: answer in stage.tag(version, NOTE_TAG), "the answer")
    assert stage.live() is None


def test_an_approval_of_changed_bytes_is_answered_within_a_minute(stage: Stage) -> None:
    version = stage.add(1, "mlflow_review")
    stores = stage.machine.workspace / "services" / "mlflow" / "artifacts"
    newest = max(stores.rglob("adapter_model.safetensors"), key=lambda path: path.stat().st_mtime)
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "approved")
    within(MINUTE, lambda: "do not match the manifest" in stage.tag(version, NOTE_TAG), "the answer")
    assert stage.live() is None


def suspended_run(stage: Stage, version: int) -> dict[str, Any]:
    """Starts the promotion deployment, and waits until its run asks."""
    with open_client(stage.machine) as client:
        deployment = client.get("/deployments/name/promotion/promotion").raise_for_status().json()
        body = {"parameters": {"model_name": stage.model, "version": version}}
        client.post(f"/deployments/{deployment['id']}/create_flow_run", json=body).raise_for_status()
    return dict(
        within(PATIENCE, lambda: next((r for r in runs_of(stage, version) if r["state_name"] == "Suspended"), None), "the question")
    )


def has_process(run_id: str) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                return True
    return False


def resume(stage: Stage, run: dict[str, Any], answers: dict[str, str]) -> httpx.Response:
    """Sends the form, when the run's process is gone: Prefect 3.8.8's worker dies of a run that comes back while its process still ends."""
    within(PATIENCE, lambda: not has_process(run["id"]), "the end of the suspended run's process")
    time.sleep(3)
    with open_client(stage.machine) as client:
        return client.post(f"/flow_runs/{run['id']}/resume", json={"run_input": answers})


def test_a_promotion_run_waits_without_end_for_its_form_and_then_goes_on(stage: Stage) -> None:
    version = stage.add(1, "prefect_input")
    run = suspended_run(stage, version)
    assert "fill in the form of the promotion run in Prefect's page" in stage.tag(version, NOTE_TAG)
    assert stage.registry.aliases(stage.model) == {"challenger": version}
    timeout = run["state"]["state_details"]["pause_timeout"]
    assert timeout is None or datetime.fromisoformat(timeout) - datetime.now(UTC) > timedelta(days=3650)
    assert resume(stage, run, {"decision": "maybe", "reviewer": "anna", "reason": "good"}).json()["status"] == "REJECT"
    assert resume(stage, run, {"decision": "approved", "reviewer": "anna", "reason": "good"}).json()["status"] == "ACCEPT"
    within(PATIENCE, lambda: stage.tag(version, NOTE_TAG).count("live by ledger entry"), "the roll-out")
    entry = stage.ledger.live(stage.model)
    assert entry is not None
    assert (entry.policy, entry.reason) == ("prefect_input", "good")
    assert entry.actor == "anna (typed into Prefect's form, unauthenticated)"
    assert [found["id"] for found in runs_of(stage, version)] == [run["id"]]


def test_a_form_can_say_no(stage: Stage) -> None:
    version = stage.add(1, "prefect_input")
    run = suspended_run(stage, version)
    resume(stage, run, {"decision": "rejected", "reviewer": "anna", "reason": "not yet"})
    within(PATIENCE, lambda: "rejected by ledger entry" in stage.tag(version, NOTE_TAG), "the rejection")
    assert stage.live() is None


def test_the_challenger_is_taken_away_by_the_sweep_when_time_is_over(stage: Stage) -> None:
    version = stage.add(1, "mlflow_review")
    promotion(stage.model, version, return_state=True)
    assert stage.registry.aliases(stage.model) == {"challenger": version}
    stage.registry.set_tag(stage.model, version, EXPIRES_TAG, "0.0001")
    sweep(return_state=True)
    assert stage.registry.aliases(stage.model) == {}
