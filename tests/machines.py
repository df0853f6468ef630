"""Machines for tests: free ports and a workspace of their own, with real services where a test wants them."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deployments.services.lifecycle import down, up
from pipeline_config.environment import Machine, read_machine


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def scratch_machine(workspace: Path, **variables: str) -> Machine:
    """A machine with free ports that reads nothing from the environment.

    Args:
        variables: environment variables that it shall read.
    """
    ports = ("TUNEGATE_PREFECT_PORT", "TUNEGATE_MLFLOW_PORT", "TUNEGATE_SERVER_PORT")
    free = dict(zip(ports, map(str, free_ports(3)), strict=True))
    return read_machine({"TUNEGATE_WORKSPACE": str(workspace), **free, **variables})


@contextmanager
def running(workspace: Path, **variables: str) -> Iterator[Machine]:
    """Real Prefect server, worker, MLflow server and model server in a workspace of their own.

    This process sees that machine as well, and the user's own servers are out of its reach.

    Args:
        variables: environment variables that the machine shall be read from.
    """
    machine = scratch_machine(workspace, **variables)
    machine.prefect_home.mkdir(parents=True)  # Prefect warns at its import when it cannot make it
    with _environment_of(machine), _prefect_of(machine):
        try:
            up(machine, _say)
            yield machine
        finally:
            down(machine, _say)


@contextmanager
def _environment_of(machine: Machine) -> Iterator[None]:
    before = dict(os.environ)
    machine.apply()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _prefect_of(machine: Machine) -> Iterator[None]:
    """Prefect reads its settings when it is imported, which another test may have done already."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with temporary_settings({PREFECT_API_URL: machine.prefect_api_url, PREFECT_HOME: machine.prefect_home}):
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr)
