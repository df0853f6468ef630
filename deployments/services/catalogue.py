"""What the local services are: command, environment, port, and the question that tells whether each is well."""

import hashlib
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployments.services.health import mlflow_fault, model_server_fault, prefect_fault, watcher_fault, worker_fault
from deployments.services.prefect_api import ensure_pool
from deployments.services.processes import services_folder
from pipeline_config.environment import LOOPBACK, Machine, read_secret
from pipeline_config.errors import ServiceError
from tasks.files import sha256_json
from tasks.registry.stamps import STAMP_KEY

CONCURRENT_RUNS = 8
"""Flow runs of the worker at one time. More than two: `finetune` waits for `promotion`, which waits for `rollout`."""


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        url: where a person or a client finds it.
        fault: what is wrong with the running service, None if nothing. Its argument is the time (seconds since the epoch) of its start.
        command: starts it. Empty: it is the user's own server, and is only looked at.
        variables: environment on top of :meth:`Machine.child_environment`.
        port: what it listens on, with the environment variable that changes it.
        needs: services that have to be up before it is started.
        prepare: called before it is started.
    """

    name: str
    url: str
    fault: Callable[[float], str | None]
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    setting: str = ""
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = lambda: None

    @property
    def is_local(self) -> bool:
        """Whether this machine starts and stops it."""
        return bool(self.command)

    def settings(self, machine: Machine) -> str:
        """Digest of what it is started with; the interpreter has several names (`python`, `python3`) and is left out."""
        return sha256_json([self.command[1:], {**machine.variables(), **self.variables}])


def catalogue(machine: Machine) -> list[Service]:
    """The services of this machine, in the order of their start.

    Raises:
        ServiceError: MLflow is set to something that is not a server.
    """
    return [_prefect(machine), _mlflow(machine), _model_server(machine), _worker(machine), _approvals(machine)]


def _prefect(machine: Machine) -> Service:
    def fault(_: float) -> str | None:
        return prefect_fault(machine)

    if machine.own_prefect_url is not None:
        return Service("prefect", machine.prefect_ui_url, fault, setting="PREFECT_API_URL")
    return Service(
        name="prefect",
        url=machine.prefect_ui_url,
        fault=fault,
        command=(*_module("prefect"), "server", "start", "--host", LOOPBACK, "--port", str(machine.prefect_port)),
        port=machine.prefect_port,
        setting="TUNEGATE_PREFECT_PORT",
    )


def _mlflow(machine: Machine) -> Service:
    def fault(_: float) -> str | None:
        return mlflow_fault(machine)

    if machine.own_mlflow_url is not None:
        if not machine.own_mlflow_url.startswith(("http://", "https://")):
            raise ServiceError(
                f"{machine.own_mlflow_url!r} is not the address of a server", where="MLFLOW_TRACKING_URI", expected="http:// or https://",
                hint="unset it to have a local MLflow server; a file or a database must have one owner, which is a server",
            )  # fmt: skip
        return Service("mlflow", machine.mlflow_url, fault, setting="MLFLOW_TRACKING_URI")
    folder = services_folder(machine.workspace) / "mlflow"
    stores = (
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--serve-artifacts",
        "--artifacts-destination",
        str(folder / "artifacts"),
    )
    return Service(
        name="mlflow",
        url=machine.mlflow_url,
        fault=fault,
        command=(
            *_module("mlflow"),
            "server",
            "--host",
            LOOPBACK,
            "--port",
            str(machine.mlflow_port),
            "--workers",
            "1",
            *stores,
            *_app(machine),
        ),
        variables={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # job schedulers that nobody needs here
        port=machine.mlflow_port,
        setting="TUNEGATE_MLFLOW_PORT",
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
    )


def _app(machine: Machine) -> tuple[str, ...]:
    """Logins, if they are asked for. What the server would only say in its log after a while is said here."""
    if machine.mlflow_app is None:
        return ()
    needed = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "any", STAMP_KEY: "tunegate-auth"}
    missing = [name for name, app in needed.items() if app in ("any", machine.mlflow_app) and not read_secret(name)]
    if missing:
        raise ServiceError(
            f"MLflow's app {machine.mlflow_app} lacks {' and '.join(missing)}", where="TUNEGATE_MLFLOW_APP",
            expected="a secret in each of these variables", hint="docs/guides/review.md tells how logins are set up",
        )  # fmt: skip
    return ("--app-name", machine.mlflow_app)


def _model_server(machine: Machine) -> Service:
    return Service(
        name="model-server",
        url=machine.server_url,
        fault=lambda _: model_server_fault(machine),
        command=_module("deployments.server"),
        port=machine.server_port,
        setting="TUNEGATE_SERVER_PORT",
    )


def _worker(machine: Machine) -> Service:
    name = _worker_name(machine)
    start = ("worker", "start", "--type", "process", "--pool", machine.work_pool, "--name", name, "--limit", str(CONCURRENT_RUNS))
    return Service(
        name="worker",
        url=f"{machine.prefect_ui_url}/work-pools/work-pool/{machine.work_pool}",
        fault=lambda since: worker_fault(machine, name, since),
        command=(*_module("prefect"), *start),
        variables={"PREFECT_WORKER_QUERY_SECONDS": "1"},
        needs=("prefect",),
        prepare=lambda: ensure_pool(machine),
    )


def _approvals(machine: Machine) -> Service:
    return Service(
        name="approvals",
        url=f"{machine.mlflow_url}/#/models",
        fault=lambda since: watcher_fault(machine, since),
        command=_module("deployments.watcher"),
        needs=("prefect", "mlflow"),
    )


def _module(name: str) -> tuple[str, ...]:
    """Runs a module of this interpreter's environment; `-P` keeps the working directory out of the import path."""
    return (sys.executable, "-P", "-m", name)


def _worker_name(machine: Machine) -> str:
    """Tells the workers of several hosts and checkouts on one Prefect server apart."""
    return f"{platform.node()}-{hashlib.sha256(str(machine.workspace).encode()).hexdigest()[:6]}"
