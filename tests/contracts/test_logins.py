"""A real MLflow server with logins: who decides is what the server saw, and nobody else can say it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.services.catalogue import catalogue
from deployments.services.lifecycle import bring_up, down
from pipeline_config.environment import Machine
from pipeline_config.errors import RegistryError, ServiceError
from tasks.ledger import Ledger
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.approval import Approval
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.port import APPROVED_BY_TAG, REQUESTED_BY_TAG, STATUS_TAG
from tasks.registry.promote import promote
from tasks.registry.reviewing import approval_tags, ask
from tasks.registry.stamps import REGISTERED, Stamp, read_stamp, signed
from tasks.registry.verdict import verified_evidence
from tests.machines import scratch_machine
from tests.versions import MODEL, Candidate, make_config

pytestmark = [pytest.mark.services, pytest.mark.slow]

KEY = "signs stamps"
PASSWORD = "a password of twelve"
RULES = {"requester_may_approve": False, "require_authenticated_reviewer": True}


@contextmanager
def logged_in(user: str) -> Iterator[None]:
    """MLflow's client reads who it is at each call."""
    os.environ.update(MLFLOW_TRACKING_USERNAME=user, MLFLOW_TRACKING_PASSWORD=PASSWORD)
    try:
        yield
    finally:
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            del os.environ[name]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """MLflow with logins, and the users rita and anna, who may change what is there."""
    pytest.importorskip("flask_wtf", reason="MLflow's logins need the extra `auth`: pip install --no-deps 'Flask-WTF<2' WTForms")
    workspace = tmp_path_factory.mktemp("logins")
    settings = workspace / "auth.ini"
    settings.write_text(f"[mlflow]\ndefault_permission = EDIT\ndatabase_uri = sqlite:///{workspace}/auth.db\nadmin_username = admin\n")
    machine = scratch_machine(workspace, TUNEGATE_MLFLOW_APP="tunegate-auth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(settings))
        patch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", PASSWORD)
        patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "for its forms")
        patch.setenv("TUNEGATE_STAMP_KEY", KEY)
        for name, value in machine.variables().items():  # no proxy is asked for the loopback address
            patch.setenv(name, value)
        try:
            bring_up([service for service in catalogue(machine) if service.name == "mlflow"], machine, print)
            for user in ("rita", "anna"):
                body = {"username": user, "password": PASSWORD}
                httpx.post(f"{machine.mlflow_url}/api/2.0/mlflow/users/create", json=body, auth=("admin", PASSWORD)).raise_for_status()
            yield machine
        finally:
            down(machine, print)


@pytest.fixture
def registry(machine: Machine) -> MlflowRegistry:
    return MlflowRegistry(machine.mlflow_url)


@pytest.fixture
def version(machine: Machine, registry: MlflowRegistry, tmp_path: Path) -> int:
    """Registered by rita."""
    config = make_config(registry={"model_name": MODEL, "approval": "mlflow_review", **RULES})
    with logged_in("rita"):
        run = MlflowTracker(machine.mlflow_url).open_run("logins", "run", {})
        return Candidate(tmp_path / "v", config=config, tags=approval_tags(config.registry, "a service")).register(registry, run.run_id)


@pytest.fixture
def asked(registry: MlflowRegistry, version: int, tmp_path: Path) -> Callable[[], Approval]:
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def now() -> Approval:
        with logged_in("rita"):
            evidence = verified_evidence(registry, MODEL, version, tmp_path / "versions")
            approval = ask(registry, ledger, evidence, datetime.now(UTC), KEY)
            if approval.state == "approved":
                entry = promote(registry, ledger, evidence, approval, 0, tmp_path / "lock")
                assert entry.actor == approval.actor
        return approval

    return now


def test_the_requester_is_refused_and_somebody_else_is_not(registry: MlflowRegistry, version: int, asked: Callable[[], Approval]) -> None:
    assert asked().state == "awaiting"
    with logged_in("rita"):
        registry.set_tag(MODEL, version, STATUS_TAG, "approved")
    refused = asked()
    assert (refused.state, "rita requested this version" in refused.reason) == ("refused", True)
    with logged_in("anna"):
        registry.set_tag(MODEL, version, STATUS_TAG, "approved")
        assert registry.aliases(MODEL) == {}
    approval = asked()
    assert (approval.state, approval.actor) == ("approved", "anna (logged in to MLflow)")
    with logged_in("anna"):
        assert registry.aliases(MODEL) == {"champion": version}


def test_the_server_says_who_registered_and_who_decided_on_what(registry: MlflowRegistry, version: int) -> None:
    with logged_in("anna"):
        registry.set_tag(MODEL, version, STATUS_TAG, "rejected")
        tags = registry.tags(MODEL, version) or {}
    registered, decided = (read_stamp(tags.get(tag), KEY, MODEL, version) for tag in (REQUESTED_BY_TAG, APPROVED_BY_TAG))
    assert registered is not None
    assert (registered.user, registered.did) == ("rita", REGISTERED)
    assert decided is not None
    assert (decided.user, decided.did) == ("anna", "rejected")
    assert decided.artifact_digest == tags["tunegate.artifact_digest"]
    assert decided.gate_report_digest == tags["tunegate.gate_report_digest"]


def test_nobody_can_write_or_remove_a_stamp(machine: Machine, registry: MlflowRegistry, version: int) -> None:
    stamp = Stamp(user="anna", did="approved", at="2026-11-25T12:00:00+00:00", model_name=MODEL, version=version)
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "set-tag": ("POST", {"name": MODEL, "version": str(version), "key": APPROVED_BY_TAG, "value": signed(stamp, KEY)}),
        "delete-tag": ("DELETE", {"name": MODEL, "version": str(version), "key": REQUESTED_BY_TAG}),
        "create": ("POST", {"name": MODEL, "source": "mlflow-artifacts:/x", "tags": [{"key": APPROVED_BY_TAG, "value": "{}"}]}),
    }
    for prefix in ("api", "ajax-api"):
        for call, (method, body) in calls.items():
            url = f"{machine.mlflow_url}/{prefix}/2.0/mlflow/model-versions/{call}"
            for user in ("rita", "admin"):
                answer = httpx.request(method, url, json=body, auth=(user, PASSWORD))
                assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), (url, answer.text)
    with logged_in("rita"):
        tags = registry.tags(MODEL, version) or {}
    assert APPROVED_BY_TAG not in tags
    assert REQUESTED_BY_TAG in tags


def test_whoever_is_not_logged_in_decides_nothing(registry: MlflowRegistry, version: int, asked: Callable[[], Approval]) -> None:
    with pytest.raises(RegistryError):
        registry.set_tag(MODEL, version, STATUS_TAG, "approved")
    assert asked().state == "awaiting"


@pytest.mark.parametrize("missing", ["TUNEGATE_STAMP_KEY", "MLFLOW_FLASK_SERVER_SECRET_KEY"])
def test_logins_without_their_secrets_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("TUNEGATE_STAMP_KEY", KEY)
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "for its forms")
    logins = scratch_machine(tmp_path, TUNEGATE_MLFLOW_APP="tunegate-auth")
    [mlflow] = [service for service in catalogue(logins) if service.name == "mlflow"]
    assert mlflow.command[-2:] == ("--app-name", "tunegate-auth")
    monkeypatch.delenv(missing)
    with pytest.raises(ServiceError, match=missing):
        catalogue(logins)
