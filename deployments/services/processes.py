"""Starts a service in a session of its own, recognises it later, and ends it with everything that it started.

A process is recognised by its id and its creation time together, because ids are used again. What it started in turn is recognised by a
random mark in the environment: children inherit it, also those that move to a session of their own, as Prefect's flow runs and our
training do.
"""

import logging
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import ValidationError

from pipeline_config.base import Section
from tasks.files import write_json

MARK = "TUNEGATE_SERVICE_MARK"
"""Environment variable that tells the processes of one start of one service from all others."""

PATIENCE = 20.0
"""Seconds between asking and killing; a training run writes its checkpoint within ten."""

_RECORD = ".process.json"
_CLOCK_TOLERANCE = 1.0
_SECONDS_BETWEEN_LOOKS = 0.1

_log = logging.getLogger(__name__)


class ProcessRecord(Section):
    """What is written down about a started service, so that a later call finds it."""

    name: str
    pid: int
    created: float
    """Seconds since the epoch, as the operating system tells it."""
    mark: str
    settings: str
    """Digest of what it was started with."""


def services_folder(workspace: Path) -> Path:
    """`services/`: a log and a record for each service, and their data."""
    return workspace / "services"


def log_path(folder: Path, name: str) -> Path:
    """The log of a service's latest start; the one before is kept beside it as `NAME.log.1`."""
    return folder / f"{name}.log"


def start_process(name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, settings: str) -> ProcessRecord:
    """Starts a command that outlives this process, and writes its record.

    Args:
        folder: receives the log and the record; working directory of the process.
        settings: digest of what it is started with, kept in the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = log_path(folder, name)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    mark = secrets.token_hex(16)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=folder,
            env={**environment, MARK: mark, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip
    created = psutil.Process(process.pid).create_time()
    process.returncode = 0  # it is meant to outlive this object, which would otherwise warn about that
    record = ProcessRecord(name=name, pid=process.pid, created=created, mark=mark, settings=settings)
    write_json(folder / f"{name}{_RECORD}", record.model_dump())
    return record


def read_record(folder: Path, name: str) -> ProcessRecord | None:
    """The record of a service's latest start, if it was started and not stopped since."""
    path = folder / f"{name}{_RECORD}"
    try:
        return ProcessRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        _log.warning("%s is no record of a process and is left out", path)
        return None


def read_records(folder: Path) -> list[ProcessRecord]:
    """The records of all services, by name."""
    names = sorted(path.name.removesuffix(_RECORD) for path in folder.glob(f"*{_RECORD}"))
    return [record for name in names if (record := read_record(folder, name)) is not None]


def is_alive(record: ProcessRecord) -> bool:
    """Whether that very process still runs. A zombie does not."""
    return _leader(record) is not None


def listens(record: ProcessRecord, port: int) -> bool:
    """Whether the service, or a process that it started, accepts connections on a port."""
    for process in _belongings(record):
        try:
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections("tcp")):
                return True
        except psutil.Error:
            continue
    return False


def stop_processes(folder: Path, records: Sequence[ProcessRecord], patience: float = PATIENCE) -> list[ProcessRecord]:
    """Ends services with everything that they started, and forgets them. Processes without their mark are never touched.

    First the sessions that a service opened are asked to end (flow runs, which report their end through the worker), then the service. What
    a flow run opened in turn (a training process) ends with it in its own way, a checkpoint first.

    Args:
        patience: seconds until what is left is killed, for either step.

    Returns:
        The records of services of which something had to be killed.
    """
    # Who they are is seen now: once its parent is gone, an orphan looks like the service itself.
    deeper = {process for record in records for process in _opened_deeper(record)}
    for record in records:
        _ask_to_end(_opened_sessions(record))
    _wait(lambda: [record for record in records if _opened_sessions(record) or deeper.intersection(_belongings(record))], patience)
    for record in records:
        _ask_to_end(_own_session(record))
    left = _wait(lambda: [record for record in records if _belongings(record)], patience)
    for record in left:
        for process in _belongings(record):
            _ignoring_gone(process.kill)
    _wait(lambda: [record for record in left if _belongings(record)], patience)
    for record in records:
        (folder / f"{record.name}{_RECORD}").unlink(missing_ok=True)
    return left


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])


def _leader(record: ProcessRecord) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) < _CLOCK_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _belongings(record: ProcessRecord) -> list[psutil.Process]:
    """The service's process and all that inherited its mark."""
    leader = _leader(record)
    found = {leader.pid: leader} if leader else {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == record.mark and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except (psutil.Error, OSError):
            continue
    return list(found.values())


def _own_session(record: ProcessRecord) -> list[psutil.Process]:
    """The topmost processes of a service and what shares a process group with them."""
    processes = _belongings(record)
    groups = {_group(process) for process in _tops(processes)}
    return [process for process in processes if _group(process) in groups]


def _opened_sessions(record: ProcessRecord) -> list[psutil.Process]:
    """The topmost processes' direct children in other groups, and what shares these groups. Not deeper: see :func:`stop_processes`."""
    processes = _belongings(record)
    tops = {process.pid for process in _tops(processes)}
    own = {_group(process) for process in processes if process.pid in tops}
    opened = {_group(process) for process in processes if _parent(process) in tops} - own
    return [process for process in processes if _group(process) in opened]


def _opened_deeper(record: ProcessRecord) -> list[psutil.Process]:
    """What is neither of the service's own session nor of those that it opened."""
    others = {*_own_session(record), *_opened_sessions(record)}
    return [process for process in _belongings(record) if process not in others]


def _tops(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    ids = {process.pid for process in processes}
    return [process for process in processes if _parent(process) not in ids]


def _ask_to_end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        _ignoring_gone(process.terminate)


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.Error:
        return None


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _ignoring_gone(action: Callable[[], object]) -> None:
    try:
        action()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return


def _wait(remaining: Callable[[], list[ProcessRecord]], seconds: float) -> list[ProcessRecord]:
    """Looks until nothing remains or time is up; returns what then remains."""
    deadline = time.monotonic() + seconds
    while (left := remaining()) and time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return left
