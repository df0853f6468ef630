"""Promotion and rollout with real Prefect, MLflow and model servers, on a tiny random base."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.promotion import promotion
from flows.rollback import rollback
from flows.rollout import rollout
from pipeline_config.environment import Machine
from tasks.deploy.client import ModelServer
from tasks.engine import open_engine
from tasks.files import ledger_path
from tasks.ledger import ROLLBACK, UNDO, Ledger
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.port import STATUS_REASON_TAG, STATUS_TAG
from tasks.rows import Message
from tests.builders import INSTRUCTION, make_prepared, make_row, make_trained, tiny_base
from tests.versions import PASSED, Candidate, make_config

pytestmark = [pytest.mark.services, pytest.mark.slow]

ASK: list[Message] = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "the vpn drops every hour"}]


@dataclass
class Stage:
    """Real servers, and a way to put versions of a model of one's own into the registry."""

    machine: Machine
    registry: MlflowRegistry
    ledger: Ledger
    model: str
    add: Callable[..., int]

    def live(self) -> str | None:
        entry = self.ledger.live(self.model)
        return entry.adapter_name if entry else None

    def answers(self) -> str:
        with ModelServer(self.machine.server_url) as server:
            return server.chat(self.model, ASK).model


@pytest.fixture
def stage(machine_up: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    model = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    base, registry = tiny_base(machine_up.workspace / "tiny"), MlflowRegistry(machine_up.mlflow_url)
    rows = [make_row("vpn drops", "network")]
    prepared = make_prepared(tmp_path / "prepared", rows, rows, rows)
    engine = open_engine(base, machine_up.workspace)

    def add(seed: int, approval: str = "auto", answer: str | None = None, **changes: Any) -> int:
        trained = make_trained(tmp_path / f"trained-{seed}", base, machine_up.workspace, prepared, seed)
        engine.load_adapter(str(seed), trained.artifact)
        judged = engine.answer([ASK], adapter=str(seed), max_new_tokens=8)[0].text
        candidate = Candidate(
            tmp_path / f"candidate-{seed}",
            artifact=trained.artifact,
            config=make_config(registry={"model_name": model, "approval": approval}),
            parity=[{"messages": ASK, "answer": judged if answer is None else answer}],
            **changes,
        )
        run = MlflowTracker(machine_up.mlflow_url).open_run("promotion", model, {})
        return candidate.register(registry, run.run_id, model)

    return Stage(machine_up, registry, Ledger(ledger_path(machine_up.workspace)), model, add)


def ended(state: State[Any]) -> tuple[str | None, str]:
    return state.name, state.message or ""


def test_a_passed_version_goes_live(stage: Stage) -> None:
    version = stage.add(1)
    assert ended(promotion(stage.model, version, return_state=True))[0] == "Promoted"
    assert stage.live() == stage.answers() == f"{stage.model}-v1"
    assert stage.registry.aliases(stage.model) == {"champion": 1}
    assert ended(promotion(stage.model, version, return_state=True))[0] == "Promoted"
    assert [entry.version for entry in stage.ledger.entries() if entry.model_name == stage.model] == [1]
    assert ended(promotion(stage.model, stage.add(2), return_state=True))[0] == "Promoted"
    assert stage.live() == stage.answers() == f"{stage.model}-v2"
    assert stage.registry.aliases(stage.model) == {"champion": 2, "previous": 1}


@pytest.mark.parametrize("flow", [promotion, rollout])
def test_a_failed_version_is_refused(stage: Stage, flow: Any) -> None:
    version = stage.add(1, verdict="fail", outcomes={**PASSED, "overfitting": "fail"})
    name, reason = ended(flow(stage.model, version, return_state=True))
    assert (name, "verdict is fail" in reason) == ("Refused", True)
    assert stage.live() is None
    assert stage.registry.aliases(stage.model) == {}


def test_rollout_refuses_what_is_not_live(stage: Stage) -> None:
    name, reason = ended(rollout(stage.model, stage.add(1), return_state=True))
    assert (name, "no version is live" in reason) == ("Refused", True)


def test_a_version_waits_for_its_reviewer(stage: Stage) -> None:
    version = stage.add(1, approval="mlflow_review")
    name, reason = ended(promotion(stage.model, version, return_state=True))
    assert (name, STATUS_TAG in reason, stage.live()) == ("AwaitingApproval", True, None)
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "rejected")
    stage.registry.set_tag(stage.model, version, STATUS_REASON_TAG, "wrong data")
    name, reason = ended(promotion(stage.model, version, return_state=True))
    assert (name, "wrong data" in reason, stage.live()) == ("Refused", True, None)
    stage.registry.set_tag(stage.model, version, STATUS_TAG, "approved")
    assert ended(promotion(stage.model, version, return_state=True))[0] == "Promoted"
    assert stage.answers() == f"{stage.model}-v1"


def test_a_switch_that_is_not_proven_is_undone(stage: Stage) -> None:
    promotion(stage.model, stage.add(1), return_state=True)
    name, reason = ended(promotion(stage.model, stage.add(2, answer="never said"), return_state=True))
    assert (name, "answers differ" in reason) == ("Failed", True)
    assert stage.live() == stage.answers() == f"{stage.model}-v1"
    assert stage.registry.aliases(stage.model) == {"champion": 1}
    last = stage.ledger.entries()[-1]
    assert (last.policy, last.version, "answers differ" in last.reason) == (UNDO, 1, True)
    with ModelServer(stage.machine.server_url) as server:
        assert f"{stage.model}-v2" not in server.models()
    stage.ledger.verify()


def test_a_rollback_serves_the_version_before_and_records_who_and_why(stage: Stage) -> None:
    for seed in (1, 2):
        promotion(stage.model, stage.add(seed), return_state=True)
    name, message = ended(rollback(stage.model, "v2 answers too slowly", None, "a person", return_state=True))
    assert name == "RolledBack", message
    assert stage.live() == stage.answers() == f"{stage.model}-v1"
    entry = stage.ledger.live(stage.model)
    assert entry is not None
    assert (entry.policy, entry.actor, entry.reason) == (ROLLBACK, "a person", "v2 answers too slowly")
    assert stage.registry.aliases(stage.model) == {"champion": 1}


def test_a_rollback_to_a_version_that_was_never_live_is_refused(stage: Stage) -> None:
    promotion(stage.model, stage.add(1), return_state=True)
    never = stage.add(2)
    name, message = ended(rollback(stage.model, "try it", never, return_state=True))
    assert name == "Refused"
    assert "never live" in message
    assert stage.live() == f"{stage.model}-v1"
