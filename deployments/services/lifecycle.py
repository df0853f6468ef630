"""`up`, `down` and `status` of the local services."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from deployments.services.catalogue import Service, services
from deployments.services.processes import ManagedProcess, port_is_taken
from pipeline_config.environment import Machine
from pipeline_config.errors import ServiceError
from tasks.files import exclusive

Say = Callable[[str], None]

_START_SECONDS = 180.0
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class ServiceStatus:
    """What is known of one service. `ours` says that it was started here and can be stopped here."""

    name: str
    url: str
    healthy: bool
    ours: bool
    log: Path


def up(machine: Machine, say: Say) -> list[ServiceStatus]:
    """Starts what is not up, and waits until all of it is healthy. Two callers do not race.

    Raises:
        ServiceError: a port is taken, a service died or did not become healthy, or a server of the user's own does not answer.
    """
    catalogue = services(machine)
    with exclusive(_folder(machine) / "lock"):
        waiting = [service for service in catalogue if not _is_up(service, machine)]
        started: set[str] = set()
        deadline = time.monotonic() + _START_SECONDS
        while waiting:
            blocked = {service.name for service in waiting}
            for service in waiting:
                if service.name not in started and not blocked & set(service.after):
                    _start(service, machine, say)
                    started.add(service.name)
            time.sleep(_LOOK_SECONDS)
            for service in [service for service in waiting if service.name in started and _check(service, machine, deadline)]:
                waiting.remove(service)
                say(f"{service.name} is up: {service.url}")
    return status(machine)


def down(machine: Machine, say: Say) -> list[str]:
    """Ends exactly what `up` started, the dependants first; returns their names."""
    stopped = []
    with exclusive(_folder(machine) / "lock"):
        for service in sorted(services(machine), key=lambda service: not service.after):
            if _process(service, machine).stop(_STOP_SECONDS):
                say(f"{service.name} is stopped")
                stopped.append(service.name)
    return stopped


def status(machine: Machine) -> list[ServiceStatus]:
    """How every service is doing now."""
    return [
        ServiceStatus(service.name, service.url, _is_healthy(service), process.find() is not None, process.log)
        for service in services(machine)
        for process in (_process(service, machine),)
    ]


def _folder(machine: Machine) -> Path:
    return machine.workspace / "services"


def _process(service: Service, machine: Machine) -> ManagedProcess:
    return ManagedProcess(service.name, _folder(machine))


def _is_up(service: Service, machine: Machine) -> bool:
    """Ours must be the process that we started: another web server on the same port is no replacement."""
    return (service.command is None or _process(service, machine).find() is not None) and _is_healthy(service)


def _is_healthy(service: Service) -> bool:
    try:
        return service.healthy()
    except (httpx.HTTPError, ValueError):
        return False


def _start(service: Service, machine: Machine, say: Say) -> None:
    if service.command is None:
        raise ServiceError(
            f"your own {service.name} server does not answer", where=service.url, expected="a server that is up",
            hint="unset PREFECT_API_URL or MLFLOW_TRACKING_URI to let tunegate start a local one",
        )  # fmt: skip
    process = _process(service, machine)
    if process.find() is None:
        if service.port is not None and port_is_taken(service.port):
            raise ServiceError(
                f"port {service.port} is taken by another program, so {service.name} cannot be started", where=service.url,
                expected="a free port", hint=f"choose another with {service.port_variable}=…",
            )  # fmt: skip
        say(f"starting {service.name} (log: {process.log})")
        process.start(service.command, {**machine.child_environment(), **service.extra_environment})


def _check(service: Service, machine: Machine, deadline: float) -> bool:
    """Whether a started service is healthy by now.

    Raises:
        ServiceError: it died, or its time is over.
    """
    process = _process(service, machine)
    if process.find() is None:
        raise ServiceError(
            f"{service.name} died while starting; its log ends with:\n{process.last_lines()}", where=str(process.log),
            hint=f"is another program on its port? {service.port_variable}=… chooses another" if service.port_variable else "",
        )  # fmt: skip
    if _is_healthy(service):
        return True
    if time.monotonic() > deadline:
        raise ServiceError(
            f"{service.name} is not healthy after {_START_SECONDS:.0f} s; its log ends with:\n{process.last_lines()}",
            where=str(process.log),
        )
    return False
