"""Ctrl-C in a person's terminal: a real pseudo-terminal, the real command, the key itself."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline_config.environment import Machine
from tasks.files import read_json
from tests.projects import write_project

pytestmark = [pytest.mark.services, pytest.mark.slow]

_CTRL_C = b"\x03"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, machine: Machine, *arguments: str) -> None:
        master, slave = pty.openpty()
        command = [str(Path(sys.executable).parent / "tunegate"), *arguments]
        environment = {**machine.child_environment(), "TERM": "xterm", "COLUMNS": "120"}
        # A session of its own with this terminal as its controlling one: only then does the key reach the command as a signal.
        start = "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, *command], stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True
        )
        os.close(slave)
        self._master, self.seen = master, ""

    def read_until(self, text: str, seconds: float) -> None:
        """Reads what the command shows until a text appears."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not appear in:\n{self.seen[-3000:]}"
            if select.select([self._master], [], [], 1.0)[0]:
                self._read()

    def press(self, key: bytes) -> None:
        """Presses a key."""
        os.write(self._master, key)

    def end(self, seconds: float) -> int:
        """Waits for the command's end, reading on; returns its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.seen[-3000:]}"
            if select.select([self._master], [], [], 0.2)[0]:
                self._read()
        os.close(self._master)
        return self.process.returncode

    def _read(self) -> None:
        try:
            self.seen += os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the other end is closed
            time.sleep(0.1)


def states(run_id: str) -> dict[str, str]:
    """States of a flow run, and of its tasks, by name."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        flow = client.read_flow_run(run_id)  # type: ignore[arg-type]
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow.id])))
    found = {task.name.rsplit("-", 1)[0]: task.state.type.value for task in tasks if task.state}
    return {"finetune": flow.state.type.value if flow.state else "", **found}


def test_ctrl_c_ends_the_run_within_seconds_and_the_next_one_goes_on(machine_up: Machine, tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        data={"max_train_rows": 150},  # rows of its own: another test counts what it had to prepare itself
        training={"epochs": 400, "learning_rate": 1e-4, "early_stopping_patience": None, "evals_per_epoch": 1},
    )
    terminal = Terminal(machine_up, "run", "--config", str(project))
    terminal.read_until("tokens/s", 120)

    terminal.press(_CTRL_C)
    code = terminal.end(30)

    assert code == 130, terminal.seen[-3000:]
    summary = read_json(machine_up.workspace / "runs" / "latest" / "summary.json")
    assert summary["outcome"] == "interrupted"
    run_id = summary["urls"]["prefect_run"].rsplit("/", 1)[-1]
    assert states(run_id)["finetune"] in {"CRASHED", "CANCELLED"}
    assert states(run_id)["train"] in {"CRASHED", "CANCELLED"}
    again = Terminal(machine_up, "run", "--config", str(project))
    again.read_until("going on from checkpoint", 120)
    again.press(_CTRL_C)
    assert again.end(30) == 130
