"""Runs the training child in a process group of its own and ends it cleanly: first by asking, then by killing the group."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

GRACE_SECONDS = 10.0
"""How long a child may take to finish its step and to write a checkpoint, once asked to stop."""


def run_child(command: Sequence[str], environment: dict[str, str], log: Path, on_line: Callable[[str], None]) -> int:
    """Runs a command to its end, passing on each line of its standard output; returns its exit code.

    The child's standard input is a pipe that nothing is written to. Its end of file tells the child to stop: it comes when this function is
    left by an exception (Ctrl-C, Prefect's cancellation), and also when this process dies in any way at all.

    Args:
        log: receives the child's standard error.
    """
    with log.open("ab") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, env=environment, start_new_session=True,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        with _ended_at_exit(child):
            assert child.stdout is not None
            for line in child.stdout:
                on_line(line)
            return child.wait()


@contextmanager
def _ended_at_exit(child: "subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        if child.poll() is None:
            _stop(child)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _stop(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    # The child may block on a full pipe while it writes its last events: keep reading until it is gone.
    drain = threading.Thread(target=child.stdout.read, daemon=True)
    drain.start()
    try:
        child.wait(GRACE_SECONDS)
    except BaseException as reason:
        # Too slow, or a second Ctrl-C: whatever comes, no child is left behind.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if not isinstance(reason, subprocess.TimeoutExpired):
            raise
    drain.join(GRACE_SECONDS)
