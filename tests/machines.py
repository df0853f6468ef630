"""Machines for tests: free ports and a workspace of their own."""

import socket
from contextlib import ExitStack
from pathlib import Path

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
