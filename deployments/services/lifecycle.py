"""Brings the local services up, says how they are, and takes them down again."""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from deployments.services.catalogue import Service, catalogue
from deployments.services.processes import (
    PATIENCE,
    ProcessRecord,
    is_alive,
    last_lines,
    listens,
    log_path,
    read_record,
    read_records,
    services_folder,
    start_process,
    stop_processes,
)
from pipeline_config.environment import LOOPBACK, Machine
from pipeline_config.errors import ServiceError
from tasks.files import exclusive

SECONDS_TO_START = 180.0
"""How long a service may take until it is well: under heavy load a Prefect server needs most of a minute."""

_SECONDS_BETWEEN_LOOKS = 0.1
_LOCK = "lock"
_ENDED = "its process has ended"

Say = Callable[[str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is.

    Attributes:
        state: `up`; `unwell` for a process that runs but does not answer as it should; `down`.
        pid: its process, None for the user's own server and for one that is down.
        log: its log, None for the user's own server.
        detail: what is wrong; empty when nothing is.
    """

    name: str
    state: Literal["up", "unwell", "down"]
    url: str
    pid: int | None
    log: Path | None
    detail: str = ""


@dataclass(frozen=True)
class _Attempt:
    """A service on its way up."""

    service: Service
    record: ProcessRecord | None
    deadline: float
    fresh: bool


def up(machine: Machine, say: Say) -> list[ServiceStatus]:
    """Starts the services of :func:`catalogue` that are not running and waits until all are well. What runs and is well is left alone.

    Args:
        say: receives a line for each step.

    Raises:
        ServiceError: see :func:`bring_up`.
    """
    return bring_up(catalogue(machine), machine, say)


def bring_up(services: Sequence[Service], machine: Machine, say: Say, *, seconds: float = SECONDS_TO_START) -> list[ServiceStatus]:
    """Starts services and waits until all are well.

    Two calls at one time do not race: the second waits for the first, and then finds everything up.

    Args:
        services: each after those that it needs.
        seconds: how long one service may take.

    Raises:
        ServiceError: a port is taken, a service ended or did not become well in time, or the user's own server does not answer. What was
            already started stays, and the next call goes on from there.
    """
    folder = services_folder(machine.workspace)
    with exclusive(folder / _LOCK):
        for service in services:
            _clear_the_way(service, machine, folder)
        return _start_and_wait(services, machine, folder, say, seconds)


def down(machine: Machine, say: Say) -> list[str]:
    """Ends exactly what `up` started, flow runs on the worker included. Returns the names of the services ended."""
    folder = services_folder(machine.workspace)
    if not folder.exists():
        say("no service was running")
        return []
    with exclusive(folder / _LOCK):
        records = read_records(folder)
        running = [record for record in records if is_alive(record)]
        # The worker reports the end of its runs to the servers, so these go last.
        last = [record for record in records if record.name in ("prefect", "mlflow")]
        killed = stop_processes(folder, [record for record in records if record not in last]) + stop_processes(folder, last)
    for record in running:
        how = f"killed after {PATIENCE:.0f} s" if record in killed else "stopped"
        say(f"{how} {record.name} (process {record.pid})")
    if not running:
        say("no service was running")
    return [record.name for record in running]


def status(machine: Machine) -> list[ServiceStatus]:
    """How each service is, without changing anything."""
    folder = services_folder(machine.workspace)
    return [_status(service, folder) for service in catalogue(machine)]


def _status(service: Service, folder: Path) -> ServiceStatus:
    record = read_record(folder, service.name) if service.is_local else None
    if record is not None and not is_alive(record):
        return ServiceStatus(service.name, "down", service.url, None, log_path(folder, service.name), _ENDED)
    if record is None and service.is_local:
        return ServiceStatus(service.name, "down", service.url, None, None, "not started")
    fault = _fault(service, record)
    pid, log = (record.pid, log_path(folder, service.name)) if record else (None, None)
    return ServiceStatus(service.name, "unwell" if fault else "up", service.url, pid, log, fault or "")


def _fault(service: Service, record: ProcessRecord | None) -> str | None:
    """What is wrong with a running service. A good answer counts only if our process gives it: another checkout has the same services."""
    if record is None:
        return service.fault(0.0)
    if not is_alive(record):
        return _ENDED
    fault = service.fault(record.created)
    if fault is None and service.port is not None and not listens(record, service.port):
        return f"another process answers on port {service.port}"
    return fault


def _clear_the_way(service: Service, machine: Machine, folder: Path) -> None:
    """Before anything is started: no service runs with other settings, no port is taken, and nothing is left of one that died."""
    if not service.is_local:
        return
    record = read_record(folder, service.name)
    if record is not None and is_alive(record):
        if record.settings != service.settings(machine):
            raise ServiceError(
                f"{service.name} runs with other settings than it would be started with now", where=f"process {record.pid}",
                expected="the same ports, pool, workspace and servers as at its start", hint="`tunegate down` first, or undo the change",
            )  # fmt: skip
        return
    if record is not None:
        stop_processes(folder, [record])
    if service.port is not None and not _is_free(service.port):
        raise ServiceError(
            f"port {service.port} is taken by {_listener(service.port)}", where=service.name, expected="a free port",
            hint=f"{service.setting}=NUMBER names another one",
        )  # fmt: skip


def _start_and_wait(services: Sequence[Service], machine: Machine, folder: Path, say: Say, seconds: float) -> list[ServiceStatus]:
    attempts: dict[str, _Attempt] = {}
    done: set[str] = set()
    began = time.monotonic()
    while len(done) < len(services):
        for service in (s for s in services if s.name not in done and set(s.needs) <= done):
            if service.name not in attempts:
                attempts[service.name] = _attempt(service, machine, folder, say, seconds)
            attempt = attempts[service.name]
            if (fault := _fault(service, attempt.record)) is not None:
                _raise_if_hopeless(attempt, fault, folder, seconds)
                continue
            done.add(service.name)
            if attempt.fresh:
                say(f"{service.name} is up after {time.monotonic() - began:.1f} s: {service.url}")
        if len(done) < len(services):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return [_status_up(attempts[service.name], folder) for service in services]


def _attempt(service: Service, machine: Machine, folder: Path, say: Say, seconds: float) -> _Attempt:
    deadline = time.monotonic() + seconds
    if not service.is_local:
        return _Attempt(service, None, deadline, fresh=False)
    record = read_record(folder, service.name)
    if record is not None:
        return _Attempt(service, record, deadline, fresh=False)
    say(f"starting {service.name} (log: {log_path(folder, service.name)})")
    service.prepare()
    environment = {**machine.child_environment(), **service.variables}
    record = start_process(service.name, service.command, environment, folder, service.settings(machine))
    return _Attempt(service, record, deadline, fresh=True)


def _status_up(attempt: _Attempt, folder: Path) -> ServiceStatus:
    service, record = attempt.service, attempt.record
    return ServiceStatus(
        service.name, "up", service.url, record.pid if record else None, log_path(folder, service.name) if record else None
    )


def _raise_if_hopeless(attempt: _Attempt, fault: str, folder: Path, seconds: float) -> None:
    service, record = attempt.service, attempt.record
    if record is None:
        raise ServiceError(
            f"your own {service.name} server: {fault}", where=f"{service.url} ({service.setting})", expected="a healthy server",
            hint=f"start it, or unset {service.setting} to have a local one started",
        )  # fmt: skip
    if is_alive(record) and time.monotonic() < attempt.deadline:
        return
    log = log_path(folder, service.name)
    lines = last_lines(log).replace("\n", "\n    ")
    what = f"was not well after {seconds:.0f} s ({fault})" if is_alive(record) else "ended while it started"
    stop_processes(folder, [record])
    hint = (
        f"read the whole log; if its port is the trouble, {service.setting}=NUMBER names another one" if service.setting else "read the log"
    )
    raise ServiceError(f"{service.name} {what}; the last lines of its log:\n    {lines}", where=str(log), hint=hint)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _listener(port: int) -> str:
    """Who listens there, as far as this user may know."""
    try:
        pids = {c.pid for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid}
        return ", ".join(f"process {pid} ({psutil.Process(pid).name()})" for pid in sorted(pids)) or "another process"
    except psutil.Error:
        return "another process"
