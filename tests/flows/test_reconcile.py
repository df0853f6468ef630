"""The flow `reconcile` with real Prefect, MLflow and model servers, on a tiny random base."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deployments.cli.ledger import show_ledger
from flows.promotion import promotion
from flows.reconcile import reconcile
from pipeline_config.environment import Machine
from pipeline_config.errors import LedgerError
from tasks.deploy.client import ModelServer
from tasks.files import ledger_path
from tasks.ledger import RECONCILE
from tasks.registry.port import LEDGER_HEAD_TAG, ROLLED_OUT_TAG
from tests.machines import free_ports
from tests.stages import Stage, ended, make_stage

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def stage(machine_up: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """Version 2 is live, version 1 was before it."""
    stage = make_stage(machine_up, tmp_path, request.node.name.removeprefix("test_").replace("_", "-"))
    for seed in (1, 2):
        assert ended(promotion(stage.model, stage.add(seed), return_state=True))[0] == "Promoted"
    return stage


def test_a_moved_alias_is_put_back_and_recorded_and_an_unloaded_version_served_again(stage: Stage) -> None:
    never_approved = stage.add(3)
    entry = stage.ledger.live(stage.model)
    assert entry is not None
    tags = stage.registry.tags(stage.model, 2) or {}
    assert tags[LEDGER_HEAD_TAG] == tags[ROLLED_OUT_TAG] == entry.hash
    name, _ = ended(reconcile(return_state=True))
    assert (name, stage.ledger.head()) == ("Reconciled", entry)

    stage.registry.set_alias(stage.model, "champion", never_approved)
    assert stage.answers() == f"{stage.model}-v2"  # it is the ledger that is served
    name, message = ended(reconcile(return_state=True))
    assert (name, "champion 3" in message) == ("Reconciled", True)
    assert stage.registry.aliases(stage.model) == {"champion": 2, "previous": 1}
    remark = stage.ledger.head()
    assert remark is not None
    assert (remark.policy, remark.version, remark.concerns) == (RECONCILE, 2, f"{stage.model}-v3")
    assert stage.live() == stage.answers() == f"{stage.model}-v2"


def test_the_command_asks_the_registry_whether_the_end_was_cut_off(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_ledger(stage.machine, stage.model, None)
    out = capsys.readouterr().out
    assert f"{stage.model}-v2" in out
    assert "cut off" not in out

    cut = stage.machine.model_copy(update={"workspace": tmp_path / "cut"})
    (tmp_path / "cut").mkdir()
    with closing(sqlite3.connect(stage.ledger.where)) as whole, closing(sqlite3.connect(ledger_path(cut.workspace))) as copy:
        whole.backup(copy)
        copy.execute("DROP TRIGGER entries_never_go")
        copy.execute("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
        copy.commit()
    with pytest.raises(LedgerError, match=f"{stage.model}-v2 is signed with"):
        show_ledger(cut, stage.model, None)


def test_a_server_that_is_down_is_said_and_takes_nothing_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stage.ledger.head()
    monkeypatch.setenv("TUNEGATE_SERVER_PORT", str(free_ports(1)[0]))
    name, message = ended(reconcile(return_state=True))
    assert name == "Unhealed"
    assert f"{stage.model}: the model server cannot be reached" in message
    assert stage.ledger.head() == before
    monkeypatch.undo()
    assert ended(reconcile(return_state=True))[0] == "Reconciled"
    with ModelServer(stage.machine.server_url) as server:
        assert f"{stage.model}-v2" in server.models()
