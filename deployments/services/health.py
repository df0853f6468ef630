"""Questions to a running service. Each answers with None when it is well and is what it should be, else with what is wrong."""

import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from deployments.services.prefect_api import open_client
from deployments.services.processes import services_folder
from pipeline_config.environment import Machine
from tasks.files import read_json

_SECONDS = 5.0
MODEL_SERVER = "tunegate-model-server"
"""What the model server calls itself in its answer to `GET /health`."""
_SILENT_AFTER = 60.0
"""Seconds without a look after which the watcher is unwell; a single look may have to wait for a slow server."""


def prefect_fault(machine: Machine) -> str | None:
    """A Prefect server answers `true` to `/health`; ours tells its version as well."""

    def look() -> str | None:
        with open_client(machine, timeout=_SECONDS) as client:
            if client.get("/health").raise_for_status().json() is not True:
                return "what answers is not a Prefect server"
            if machine.own_prefect_url is None and not _is_version(client.get("/admin/version").raise_for_status().json()):
                return "what answers is not a Prefect server"
            return None

    return _answered(look)


def mlflow_fault(machine: Machine) -> str | None:
    """`/health` says OK on many servers; a search for experiments is MLflow's. A server that asks for a password is up as well."""

    def look() -> str | None:
        with _client(machine.mlflow_url, own=machine.own_mlflow_url is not None) as client:
            response = client.post("/api/2.0/mlflow/experiments/search", json={"max_results": 1})
            if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return None
            answer = response.raise_for_status().json()
            known = isinstance(answer, dict) and answer.keys() <= {"experiments", "next_page_token"}
            return None if known else "what answers is not an MLflow server"

    return _answered(look)


def model_server_fault(machine: Machine) -> str | None:
    """The model server says its own name."""

    def look() -> str | None:
        with _client(machine.server_url, own=False) as client:
            answer = client.get("/health").raise_for_status().json()
            return None if isinstance(answer, dict) and answer.get("service") == MODEL_SERVER else "what answers is not the model server"

    return _answered(look)


def worker_fault(machine: Machine, worker: str, since: float) -> str | None:
    """The worker has reported to the Prefect server, after its process was started.

    Args:
        since: seconds since the epoch. A dead worker counts as online for a while, so an older report says nothing.
    """

    def look() -> str | None:
        with open_client(machine, timeout=_SECONDS) as client:
            body = {"workers": {"status": {"any_": ["ONLINE"]}}}
            workers = client.post(f"/work_pools/{machine.work_pool}/workers/filter", json=body).raise_for_status().json()
        seen = [entry["last_heartbeat_time"] for entry in workers if entry["name"] == worker]
        reported = any(datetime.fromisoformat(text).timestamp() >= since for text in seen if text)
        return None if reported else f"worker {worker} has not reported to the Prefect server"

    return _answered(look)


def watcher_mark(machine: Machine) -> Path:
    """Where the watcher of approvals leaves the time of its last look, and what was wrong with it."""
    return services_folder(machine.workspace) / "approvals.mark"


def watcher_fault(machine: Machine, since: float) -> str | None:
    """The watcher has looked lately, after its process was started, and was answered.

    Args:
        since: seconds since the epoch.
    """
    try:
        mark = read_json(watcher_mark(machine))
        at, fault = float(mark["at"]), str(mark["fault"])
    except (OSError, ValueError, KeyError, TypeError):
        at, fault = 0.0, ""
    if at < since:
        return "it has not looked yet"
    if (silent := time.time() - at) > _SILENT_AFTER:
        return f"it has not looked for {silent:.0f} s"
    return fault or None


def _client(url: str, *, own: bool) -> httpx.Client:
    """Proxies are for the user's own servers; what listens on the loopback address is asked directly."""
    return httpx.Client(base_url=url.rstrip("/"), timeout=_SECONDS, trust_env=own)


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and value[:1].isdigit() and "." in value


def _answered(look: Callable[[], str | None]) -> str | None:
    try:
        return look()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        return f"{error.request.url} answered {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}".rstrip()
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    except (ValueError, KeyError, TypeError):
        return "what answers does not speak the expected protocol"
