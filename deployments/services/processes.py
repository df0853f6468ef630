"""Starts a process that outlives this one, remembers it, and ends exactly it: a process id alone could be somebody else's by now."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline_config.environment import LOOPBACK
from tasks.files import read_json, write_json

_CLOCK_TOLERANCE = 0.05
"""Seconds by which two readings of a process's start may differ."""


@dataclass(frozen=True)
class ManagedProcess:
    """A process that was started here. `folder` holds its log and the note by which it is found again."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """Everything that it printed since its last start."""
        return self.folder / f"{self.name}.log"

    @property
    def _note(self) -> Path:
        return self.folder / f"{self.name}.json"

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts the command as the leader of a new session, so that it and its children form a group of their own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=dict(environment), start_new_session=True
            )
        write_json(self._note, {"pid": child.pid, "started": psutil.Process(child.pid).create_time()})

    def find(self) -> psutil.Process | None:
        """The running process; null if it ended, or if its id belongs to another process now."""
        try:
            note = read_json(self._note)
            process = psutil.Process(note["pid"])
            same = abs(process.create_time() - note["started"]) < _CLOCK_TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def stop(self, patience: float) -> bool:
        """Ends the whole group: asks, waits up to `patience` seconds, then kills. Says whether there was anything to end."""
        process = self.find()
        if process is None:
            self._note.unlink(missing_ok=True)
            return False
        members = [process, *process.children(recursive=True)]
        _signal_group(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(members, timeout=patience)
        if alive:
            _signal_group(process.pid, signal.SIGKILL)
            for member in alive:
                _kill(member)
            psutil.wait_procs(alive, timeout=patience)
        self._note.unlink(missing_ok=True)
        return True

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        if not self.log.is_file():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def port_is_taken(port: int) -> bool:
    """Whether anything listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _kill(process: psutil.Process) -> None:
    """For a child that made a session of its own and so left the group."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
