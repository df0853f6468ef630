"""Curve points wait out an outage: none is lost, none is sent twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from pipeline_config.errors import RegistryError
from tasks.tracking import MetricsBuffer, TrackedRun


class Server:
    """Keeps points in memory, and can be down."""

    def __init__(self) -> None:
        self.down = False
        self.points: list[tuple[int, float]] = []

    def log_metrics(self, run_id: str, points: Mapping[str, float], step: int) -> None:
        if self.down:
            raise RegistryError("no answer")
        self.points.append((step, points["loss"]))

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
        return TrackedRun(run_id=name, url="")

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None: ...

    def log_file(self, run_id: str, path: Path, folder: str = "") -> None: ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None: ...

    def close_run(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None: ...


def test_points_of_an_outage_arrive_once_and_in_order() -> None:
    server, now = Server(), [0.0]
    buffer = MetricsBuffer(server, "run", lambda: now[0], interval=2)
    for step in range(10):
        server.down = 3 <= step < 7
        now[0] += 1
        buffer.add(step, {"loss": float(step)})
    buffer.close()
    assert server.points == [(step, float(step)) for step in range(10)]


def test_points_are_sent_in_batches() -> None:
    server = Server()
    buffer = MetricsBuffer(server, "run", lambda: 0.0, interval=2)
    buffer.add(1, {"loss": 1.0})
    buffer.add(2, {"loss": 2.0})
    assert server.points == [(1, 1.0)]


def test_a_server_that_stays_down_is_an_error_at_the_end() -> None:
    server = Server()
    server.down = True
    buffer = MetricsBuffer(server, "run", lambda: 0.0)
    buffer.add(1, {"loss": 1.0})
    with pytest.raises(RegistryError):
        buffer.close()
