"""Promotion and rollout with real Prefect, MLflow and model servers, on a tiny random base."""

from pathlib import Path
from typing import Any

import pytest

from flows.promotion import promotion
from flows.rollback import rollback
from flows.rollout import rollout
from pipeline_config.environment import Machine
from tasks.deploy.client import ModelServer
from tasks.ledger import ROLLBACK, UNDO
from tests.stages import Stage, ended, make_stage
from tests.versions import PASSED

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def stage(machine_up: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    return make_stage(machine_up, tmp_path, request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-"))


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
