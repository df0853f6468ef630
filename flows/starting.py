"""Starts the promotion deployment and follows it until there is nothing more to wait for."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tasks.artifacts import PromotionOutcome, RegisteredVersion
from tasks.registry.watching import RunEnd

PROMOTION = "promotion/promotion"
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_START = 120.0
_SILENT = (httpx.HTTPError, RuntimeError)
"""What Prefect's client raises where its server is not there or is not well."""


def start_promotion(version: RegisteredVersion, machine: Machine) -> PromotionOutcome:
    """Runs the promotion deployment in a process of its own, which can wait for a reviewer longer than this run lives.

    Raises:
        ServiceError: the deployment is not registered, or no worker takes the run.
    """
    parameters = {"model_name": version.model_name, "version": version.version}
    started = time.monotonic()
    run = _start(parameters)
    url = f"{machine.prefect_ui_url}/runs/flow-run/{run.id}"
    get_run_logger().info("promotion of %s runs at %s", version.adapter_name, url)
    with get_client(sync_client=True) as client:
        run = _settled(client, run, time.monotonic)
    state = run.state
    name, message = (state.name, state.message) if state is not None else ("Unknown", None)
    return PromotionOutcome(state=name or "Unknown", message=message, url=url, seconds=time.monotonic() - started)


class PromotionRuns:
    """`tasks.registry.watching.Runs` on a Prefect server: the same run for the same key."""

    def start(self, model_name: str, version: int, key: str) -> str:
        """See :meth:`tasks.registry.watching.Runs.start`."""
        return str(_start({"model_name": model_name, "version": version}, key).id)

    def ended(self, run_id: str) -> RunEnd | None:
        """See :meth:`tasks.registry.watching.Runs.ended`. A run that was deleted has ended."""
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(UUID(run_id)).state
        except ObjectNotFound:
            return RunEnd(state="Deleted", message="")
        except _SILENT as error:
            raise _silence(error) from error
        return RunEnd(state=state.name or "Unknown", message=state.message or "") if state is not None and state.is_final() else None


def _start(parameters: Mapping[str, Any], key: str | None = None) -> FlowRun:
    try:
        run: FlowRun = run_deployment(  # type: ignore[assignment]
            PROMOTION, parameters=dict(parameters), as_subflow=False, timeout=0, idempotency_key=key
        )
    except ObjectNotFound as error:
        raise ServiceError("the promotion deployment is not registered", where=PROMOTION, hint="`tunegate deploy` registers it") from error
    except _SILENT as error:
        raise _silence(error) from error
    return run


def _silence(error: Exception) -> ServiceError:
    return ServiceError(
        f"the Prefect server does not answer as it should: {error}", where=PROMOTION, hint="`tunegate up` starts a local one"
    )


def _settled(client: SyncPrefectClient, run: FlowRun, clock: Callable[[], float]) -> FlowRun:
    """Polls until the run is final or suspended."""
    deadline = clock() + _SECONDS_TO_START
    while run.state is None or not (run.state.is_final() or run.state.is_paused()):
        waiting = run.state is None or run.state.is_scheduled() or run.state.is_pending()
        if waiting and clock() > deadline:
            raise ServiceError(
                f"no worker took the promotion run within {_SECONDS_TO_START:.0f} s", where=PROMOTION,
                expected="a worker on the process pool", hint="`tunegate status` says whether the worker is up; the run waits for it",
            )  # fmt: skip
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        run = client.read_flow_run(run.id)
    return run
