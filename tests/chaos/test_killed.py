"""The real flows in a process of their own, killed with SIGKILL between two steps: the flow `reconcile` ends where the ledger leads."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.promotion import promotion
from flows.reconcile import reconcile
from pipeline_config.environment import LOOPBACK, Machine
from tasks.registry.aliases import check_tail
from tasks.registry.port import ROLLED_OUT_TAG
from tests.chaos.counting import COUNTED
from tests.chaos.killer import Trap, trapped
from tests.stages import Stage, ended, make_stage

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ALIAS, TAG = "/mlflow/registered-models/alias", "/mlflow/model-versions/set-tag"
KILLS = {
    "the ledger is written, no alias is moved": ("promotion", Trap(ALIAS, '"champion"', "before")),
    "back again, champion is moved and nothing else": ("rollback", Trap(ALIAS, '"champion"', "after")),
    "champion is moved, previous is not": ("promotion", Trap(ALIAS, '"champion"', "after")),
    "back again, the ledger is written, no alias is moved": ("rollback", Trap(ALIAS, '"champion"', "before")),
    "the aliases are moved, the version is not signed": ("promotion", Trap(TAG, "tunegate.ledger_head", "before")),
    "back again, the server has loaded the version": ("rollback", Trap("/v1/load_lora_adapter", "", "after")),
    "the server has answered once": ("promotion", Trap("/v1/chat/completions", "", "after")),
    "back again, proven, and the proof is not noted": ("rollback", Trap(TAG, "tunegate.rolled_out", "before")),
}
"""Where the process ends, and in what. One after the other: version 2 is promoted, and gone back from."""


def test_what_is_killed_between_two_steps_is_healed(machine_up: Machine, tmp_path: Path) -> None:
    stage = make_stage(machine_up, tmp_path, "killed")
    assert ended(promotion(stage.model, stage.add(1), return_state=True))[0] == "Promoted"
    assert stage.add(2) == 2
    for place, (flow, trap) in KILLS.items():
        assert run_until_killed(stage, flow, trap) == -signal.SIGKILL, place
        state, message = ended(reconcile(return_state=True))
        assert state == "Reconciled", f"{place}: {message}"
        require_right(stage, 2 if flow == "promotion" else 1, place)
        COUNTED[f"SIGKILL: {place}"] = 1
    entries = [entry.version for entry in stage.ledger.entries() if entry.policy in ("auto", "rollback")]
    assert entries == [1, *([2, 1] * (len(KILLS) // 2))]


def run_until_killed(stage: Stage, flow: str, trap: Trap) -> int:
    call = f"promotion({stage.model!r}, 2)" if flow == "promotion" else f"rollback({stage.model!r}, 'it was better')"
    machine = stage.machine
    with trapped(machine.mlflow_url, trap) as mlflow, trapped(machine.server_url, trap) as server:
        variables = {
            **machine.child_environment(),
            "MLFLOW_TRACKING_URI": f"http://{LOOPBACK}:{mlflow}",
            "TUNEGATE_MLFLOW_PORT": str(mlflow),
            "TUNEGATE_SERVER_PORT": str(server),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", f"from flows.{flow} import {flow}; {call}"]
        trap.victim = subprocess.Popen(command, env=variables, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return trap.victim.wait(timeout=300)


def require_right(stage: Stage, version: int, place: str) -> None:
    name = f"{stage.model}-v{version}"
    assert stage.registry.aliases(stage.model) == ({"champion": 2, "previous": 1} if version == 2 else {"champion": 1}), place
    assert stage.live() == stage.answers() == name, place
    check_tail(stage.registry, stage.ledger, stage.model)
    live = stage.ledger.live(stage.model)
    assert live is not None
    assert (stage.registry.tags(stage.model, version) or {})[ROLLED_OUT_TAG] == live.hash, place
