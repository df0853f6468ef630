"""Promotion, rollback and healing with MLflow's tables and the ledger in one Postgres database."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flows.promotion import promotion
from flows.reconcile import reconcile
from flows.rollback import rollback
from pipeline_config.environment import LOOPBACK
from tasks.files import ledger_path
from tasks.registry.aliases import check_tail
from tests.machines import free_ports, running
from tests.stages import ended, make_stage

pytestmark = [pytest.mark.services, pytest.mark.slow]


def test_what_is_live_is_kept_in_postgres(postgres_url: str, tmp_path: Path) -> None:
    with (
        mlflow_in(postgres_url, tmp_path) as url,
        running(tmp_path / "workspace", MLFLOW_TRACKING_URI=url, TUNEGATE_LEDGER_URL=postgres_url) as machine,
    ):
        stage = make_stage(machine, tmp_path, "in-postgres")
        for seed in (1, 2):
            assert ended(promotion(stage.model, stage.add(seed), return_state=True))[0] == "Promoted"
        assert ended(rollback(stage.model, "v2 answers too slowly", return_state=True))[0] == "RolledBack"
        stage.registry.set_alias(stage.model, "champion", 2)
        assert ended(reconcile(return_state=True))[0] == "Reconciled"
        assert stage.registry.aliases(stage.model) == {"champion": 1}
        assert stage.live() == stage.answers() == "in-postgres-v1"
        assert [entry.policy for entry in stage.ledger.entries()] == ["auto", "auto", "rollback", "reconcile"]
        check_tail(stage.registry, stage.ledger, stage.model)
        assert not ledger_path(machine.workspace).exists()


@contextmanager
def mlflow_in(database: str, folder: Path) -> Iterator[str]:
    """An MLflow server of the user's own."""
    port = free_ports(1)[0]
    url, log = f"http://{LOOPBACK}:{port}", folder / "mlflow.log"
    command = [
        *(sys.executable, "-P", "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1", "--serve-artifacts"),
        *("--backend-store-uri", database.replace("postgresql://", "postgresql+psycopg://", 1)),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(f"{url}/health", server, log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=60)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(url, trust_env=False, timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"MLflow is not up: {log.read_text()}")
