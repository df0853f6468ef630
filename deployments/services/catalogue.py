"""The local services: how each is started, and how it shows that it works."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipeline_config.environment import LOOPBACK, Machine

WORKER_LIMIT = 4
"""Flow runs that the worker executes at once: a main job, the promotion that it started, and room for two more."""

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Service:
    """One process to run, or somebody else's server to use.

    Attributes:
        command: null for a server that the user runs; it is only checked.
        port: null for a process that listens nowhere.
        port_variable: the environment variable that moves the port.
        healthy: whether it answers as itself; any exception of httpx means no.
        after: names of services that must be healthy before this one is started.
    """

    name: str
    url: str
    command: tuple[str, ...] | None
    port: int | None
    port_variable: str
    healthy: Callable[[], bool]
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()


def services(machine: Machine) -> tuple[Service, ...]:
    """All services of a machine, in the order in which a person thinks of them."""
    return _prefect(machine), _worker(machine), _mlflow(machine), _model_server(machine)


def _prefect(machine: Machine) -> Service:
    port = str(machine.prefect_port)
    command = (_script("prefect"), "server", "start", "--host", LOOPBACK, "--port", port)
    own = machine.own_prefect_url is not None
    return Service(
        name="prefect",
        url=machine.prefect_ui_url,
        command=None if own else command,
        port=None if own else machine.prefect_port,
        port_variable="TUNEGATE_PREFECT_PORT",
        healthy=lambda: _get(f"{machine.prefect_api_url}/health") is True,
    )


def _worker(machine: Machine) -> Service:
    command = (_script("prefect"), "worker", "start", "--type", "process", "--pool", machine.work_pool, "--limit", str(WORKER_LIMIT))
    return Service(
        name="worker",
        url=f"{machine.prefect_ui_url}/work-pools/work-pool/{machine.work_pool}",
        command=command,
        port=None,
        port_variable="",
        healthy=lambda: _worker_is_online(machine),
        # Prefect looks for scheduled runs every ten seconds unless told otherwise.
        extra_environment={"PREFECT_WORKER_QUERY_SECONDS": "1"},
        after=("prefect",),
    )


def _mlflow(machine: Machine) -> Service:
    folder = machine.workspace / "services" / "mlflow"
    command = (
        _script("mlflow"), "server", "--host", LOOPBACK, "--port", str(machine.mlflow_port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--serve-artifacts", "--artifacts-destination", str(folder / "artifacts"),
    )  # fmt: skip
    own = machine.own_mlflow_url is not None
    return Service(
        name="mlflow",
        url=machine.mlflow_url,
        command=None if own else command,
        port=None if own else machine.mlflow_port,
        port_variable="TUNEGATE_MLFLOW_PORT",
        healthy=lambda: _is_mlflow(machine.mlflow_url),
        # Its job runners judge GenAI traces, which nobody has here, and make the start several times slower.
        extra_environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS": "false"},
    )


def _model_server(machine: Machine) -> Service:
    return Service(
        name="model-server",
        url=f"{machine.server_url}/v1",
        command=(sys.executable, "-m", "deployments.server"),
        port=machine.server_port,
        port_variable="TUNEGATE_SERVER_PORT",
        healthy=lambda: _service_of(_get(f"{machine.server_url}/health")) == "tunegate-model-server",
    )


def _script(name: str) -> str:
    """A console script of this environment, whatever PATH says."""
    return str(Path(sys.executable).parent / name)


def _get(url: str) -> Any:
    response = httpx.get(url, timeout=_TIMEOUT)
    response.raise_for_status()
    return response.json()


def _service_of(answer: Any) -> Any:
    return answer.get("service") if isinstance(answer, dict) else None


def _is_mlflow(url: str) -> bool:
    """`/health` alone says OK on many servers; an experiment search is MLflow's."""
    body = {"max_results": 1}
    response = httpx.post(f"{url.rstrip('/')}/api/2.0/mlflow/experiments/search", json=body, timeout=_TIMEOUT)
    return response.status_code in (200, 401)


def _worker_is_online(machine: Machine) -> bool:
    url = f"{machine.prefect_api_url}/work_pools/{machine.work_pool}/workers/filter"
    response = httpx.post(url, json={}, timeout=_TIMEOUT)
    return response.status_code == 200 and any(worker.get("status") == "ONLINE" for worker in response.json())
