"""Starts the promotion deployment and follows it until there is nothing more to wait for."""

import time
from collections.abc import Callable

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tasks.artifacts import PromotionOutcome, RegisteredVersion

PROMOTION = "promotion/promotion"
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_START = 120.0


def start_promotion(version: RegisteredVersion, machine: Machine) -> PromotionOutcome:
    """Runs the promotion deployment in a process of its own, which can wait for a reviewer longer than this run lives.

    Raises:
        ServiceError: the deployment is not registered, or no worker takes the run.
    """
    parameters = {"model_name": version.model_name, "version": version.version}
    started = time.monotonic()
    try:
        run: FlowRun = run_deployment(PROMOTION, parameters=parameters, as_subflow=False, timeout=0)  # type: ignore[assignment]
    except ObjectNotFound as error:
        raise ServiceError("the promotion deployment is not registered", where=PROMOTION, hint="`tunegate deploy` registers it") from error
    url = f"{machine.prefect_ui_url}/runs/flow-run/{run.id}"
    get_run_logger().info("promotion of %s runs at %s", version.adapter_name, url)
    with get_client(sync_client=True) as client:
        run = _settled(client, run, time.monotonic)
    state = run.state
    name, message = (state.name, state.message) if state is not None else ("Unknown", None)
    return PromotionOutcome(state=name or "Unknown", message=message, url=url, seconds=time.monotonic() - started)


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
