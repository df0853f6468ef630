"""Curve points wait out an outage: none is lost, none is sent twice."""

import pytest

from pipeline_config.errors import RegistryError
from tasks.mlflow_tracking import _source_of
from tasks.tracking import MetricsBuffer
from tests.fakes import FakeTracker


@pytest.fixture
def server() -> FakeTracker:
    return FakeTracker()


@pytest.fixture
def run_id(server: FakeTracker) -> str:
    return server.open_run("experiment", "run", {}).run_id


def test_points_of_an_outage_arrive_once_and_in_order(server: FakeTracker, run_id: str) -> None:
    now = [0.0]
    buffer = MetricsBuffer(server, run_id, lambda: now[0], interval=2)
    for step in range(10):
        server.down = 3 <= step < 7
        now[0] += 1
        buffer.add(step, {"loss": float(step)})
    buffer.close()
    assert server.runs[run_id].points == {"loss": [(step, float(step)) for step in range(10)]}


def test_points_are_sent_in_batches(server: FakeTracker, run_id: str) -> None:
    buffer = MetricsBuffer(server, run_id, lambda: 0.0, interval=2)
    buffer.add(1, {"loss": 1.0})
    buffer.add(2, {"loss": 2.0})
    assert server.runs[run_id].points == {"loss": [(1, 1.0)]}


def test_a_server_that_stays_down_is_an_error_at_the_end(server: FakeTracker, run_id: str) -> None:
    server.down = True
    buffer = MetricsBuffer(server, run_id, lambda: 0.0)
    buffer.add(1, {"loss": 1.0})
    with pytest.raises(RegistryError):
        buffer.close()


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
