"""Curve points wait out an outage: none is lost, none is sent twice."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.mlflow_tracking import _source_of
from tasks.tracking import MetricPoint, MetricsBuffer, sent_in_background
from tests.fakes import FakeTracker


class Hanging(FakeTracker):
    """Takes a batch and does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = threading.Event(), threading.Event()

    def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        self.asked.set()
        self.answer.wait(30)


@pytest.fixture
def server() -> FakeTracker:
    return FakeTracker()


@pytest.fixture
def run_id(server: FakeTracker) -> str:
    return server.open_run("experiment", "run", {}).run_id


def curve(server: FakeTracker, run_id: str) -> list[tuple[int, float]]:
    return server.runs[run_id].points.get("loss", [])


def test_an_outage_of_a_minute_loses_and_doubles_nothing(server: FakeTracker, run_id: str) -> None:
    now = [1_000.0]
    buffer = MetricsBuffer(server, run_id, lambda: now[0])
    for step in range(120):
        server.down = 30 <= step < 90
        now[0] += 1
        buffer.add(step, {"loss": float(step)})
        if step % 2:
            buffer.send()
    assert buffer.send()
    assert curve(server, run_id) == [(step, float(step)) for step in range(120)]


def test_a_batch_whose_answer_was_lost_is_sent_again_and_kept_once(server: FakeTracker, run_id: str) -> None:
    now = [1_000.0]
    buffer = MetricsBuffer(server, run_id, lambda: now[0])
    for step in range(6):
        server.mute = step in (2, 3)
        now[0] += 2
        buffer.add(step, {"loss": 0.5})
        buffer.send()
    assert server.calls == 6
    assert curve(server, run_id) == [(step, 0.5) for step in range(6)]


def test_points_carry_the_time_they_were_measured_at(server: FakeTracker, run_id: str) -> None:
    server.down, now = True, [1_000.0]
    buffer = MetricsBuffer(server, run_id, lambda: now[0])
    buffer.add(1, {"loss": 1.0})
    now[0] = 2_000.0
    buffer.send()
    assert [point.milliseconds for point in buffer.waiting()] == [1_000_000]


def test_what_waited_goes_in_batches(server: FakeTracker, run_id: str) -> None:
    buffer = MetricsBuffer(server, run_id)
    for step in range(250):
        buffer.add(step, {"loss": float(step)})
    assert buffer.send()
    assert (server.calls, len(curve(server, run_id))) == (3, 250)


def test_a_call_that_hangs_holds_up_neither_the_measuring_nor_the_end(server: FakeTracker, run_id: str, tmp_path: Path) -> None:
    hangs = Hanging()
    buffer = MetricsBuffer(hangs, run_id)
    with sent_in_background(buffer, interval=0.01, patience=0.2):
        buffer.add(1, {"loss": 1.0})
        assert hangs.asked.wait(10)
        for step in range(2, 100):
            buffer.add(step, {"loss": 1.0})
    hangs.answer.set()
    assert buffer.keep(tmp_path / "unsent.jsonl") >= 98


def test_at_the_end_a_server_has_some_time_to_come_back(server: FakeTracker, run_id: str) -> None:
    server.down = True
    buffer = MetricsBuffer(server, run_id)
    timer = threading.Timer(0.1, lambda: setattr(server, "down", False))
    with sent_in_background(buffer, interval=0.01, patience=30):
        buffer.add(1, {"loss": 1.0})
        timer.start()
    assert curve(server, run_id) == [(1, 1.0)]


def test_what_never_arrived_is_no_error_and_stays_in_a_file(server: FakeTracker, run_id: str, tmp_path: Path) -> None:
    server.down = True
    buffer = MetricsBuffer(server, run_id, lambda: 1_000.0)
    with sent_in_background(buffer, interval=0.01, patience=0.05):
        buffer.add(1, {"loss": 1.5})
        buffer.add(2, {"loss": 1.0})
    file = tmp_path / "unsent.jsonl"
    assert buffer.keep(file) == 2
    assert [MetricPoint.model_validate_json(line) for line in file.read_text().splitlines()] == buffer.waiting()


def test_nothing_is_written_where_everything_arrived(server: FakeTracker, run_id: str, tmp_path: Path) -> None:
    buffer = MetricsBuffer(server, run_id)
    with sent_in_background(buffer, interval=0.01):
        buffer.add(1, {"loss": 1.5})
    assert buffer.keep(tmp_path / "unsent.jsonl") == 0
    assert not list(tmp_path.iterdir())


def test_a_failed_training_does_not_wait_for_a_server_that_is_down(server: FakeTracker, run_id: str) -> None:
    server.down = True
    buffer = MetricsBuffer(server, run_id)
    began = time.monotonic()
    buffer.add(1, {"loss": 1.5})
    with pytest.raises(KeyError), sent_in_background(buffer, interval=0.01, patience=60):
        raise KeyError
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("location", "kind", "fields"),
    [
        ("/srv/data/train.csv", "local", {"uri": "/srv/data/train.csv"}),
        ("rows/*.jsonl", "local", {"uri": "rows/*.jsonl"}),
        ("C:\\rows.csv", "local", {"uri": "C:\\rows.csv"}),
        ("s3://bucket/rows.parquet", "s3", {"uri": "s3://bucket/rows.parquet"}),
        ("https://example.org/rows.csv", "http", {"url": "https://example.org/rows.csv"}),
        ("hf:PolyAI/banking77@main:train", "hugging_face", {"path": "PolyAI/banking77"}),
    ],
)
def test_a_source_is_told_in_mlflows_words(location: str, kind: str, fields: dict[str, str]) -> None:
    assert _source_of(location) == (kind, fields)
