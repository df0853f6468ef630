"""Plain HTTP to Prefect's API, for what must be quick: importing Prefect's own client takes seconds."""

import base64
import time
from http import HTTPStatus
from typing import Any

import httpx

from pipeline_config.environment import Machine, read_secret
from pipeline_config.errors import ServiceError

_TRIES = 6
_SECONDS_BETWEEN_TRIES = 0.5
_RAISE_LIMIT = "`prefect work-pool update NAME --concurrency-limit 4`, or name another pool with TUNEGATE_WORK_POOL"


def open_client(machine: Machine, *, timeout: float = 30.0) -> httpx.Client:
    """A client for the Prefect API of this machine.

    `PREFECT_API_KEY` and `PREFECT_API_AUTH_STRING` are honoured, as are proxies, where the server is the user's own.

    Args:
        timeout: seconds to wait for an answer.
    """
    own = machine.own_prefect_url is not None
    headers = {"Authorization": value} if own and (value := _authorization()) else {}
    # A transport of our own would switch off the proxies of the environment.
    transport = None if own else _Patient(httpx.HTTPTransport())
    return httpx.Client(base_url=machine.prefect_api_url.rstrip("/"), headers=headers, timeout=timeout, trust_env=own, transport=transport)


def ensure_pool(machine: Machine) -> None:
    """Creates the process work pool of the deployments if it is missing.

    Raises:
        ServiceError: there is a pool of that name that cannot run these deployments, or the server does not answer.
    """
    try:
        with open_client(machine) as client:
            _check_pool(_read_or_create_pool(client, machine.work_pool))
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the Prefect server does not answer as it should: {error}",
            where=machine.prefect_api_url,
            hint="`tunegate up` starts a local one",
        ) from error


def _read_or_create_pool(client: httpx.Client, name: str) -> dict[str, Any]:
    response = client.get(f"/work_pools/{name}")
    if response.status_code == HTTPStatus.NOT_FOUND:
        body = {"name": name, "type": "process", "base_job_template": _process_template(client)}
        response = client.post("/work_pools/", json=body)
        if response.status_code == HTTPStatus.CONFLICT:  # somebody else was first
            response = client.get(f"/work_pools/{name}")
    pool: dict[str, Any] = response.raise_for_status().json()
    return pool


class _Patient(httpx.BaseTransport):
    """Asks again when the server answers 503, as Prefect's own client does: its SQLite database was locked, and nothing has changed."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(_TRIES - 1):
            response = self._inner.handle_request(request)
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(_SECONDS_BETWEEN_TRIES)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def _check_pool(pool: dict[str, Any]) -> None:
    """`finetune` waits for `promotion`, and `promotion` for `rollout`: a pool for one run at a time would wait for ever."""
    where, limit = f"Prefect work pool {pool['name']!r}", pool.get("concurrency_limit")
    if pool["type"] != "process":
        raise ServiceError(
            f"the work pool has type {pool['type']!r}", where=where, expected="process", hint="name another pool with TUNEGATE_WORK_POOL"
        )
    if pool.get("is_paused"):
        raise ServiceError("the work pool is paused", where=where, hint=f"`prefect work-pool resume {pool['name']}`")
    if limit is not None and limit < 2:
        raise ServiceError(f"the work pool admits {limit} run(s) at a time", where=where, expected="at least 2", hint=_RAISE_LIMIT)


def _process_template(client: httpx.Client) -> dict[str, Any]:
    """The server's own job template for process pools, as its UI would take it."""
    workers = client.get("/collections/views/aggregate-worker-metadata").raise_for_status().json()
    template: dict[str, Any] = workers["prefect"]["process"]["default_base_job_configuration"]
    return template


def _authorization() -> str | None:
    if key := read_secret("PREFECT_API_KEY"):
        return f"Bearer {key}"
    if text := read_secret("PREFECT_API_AUTH_STRING"):
        return f"Basic {base64.b64encode(text.encode()).decode()}"
    return None
