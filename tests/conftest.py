"""Fixtures for tests that need the real local services."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployments.services.lifecycle import down, up
from pipeline_config.environment import Machine
from tests.machines import scratch_machine


@pytest.fixture(scope="session")
def machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Real Prefect server, worker, MLflow server and model server in a workspace of their own; one set for the whole session.

    This process sees that machine as well, and the user's own servers are out of its reach.
    """
    machine = scratch_machine(tmp_path_factory.mktemp("workspace"))
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
