"""What every tracker promises, asked of the fake and of a real MLflow server."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.environment import Machine
from pipeline_config.errors import RegistryError
from tasks.mlflow_tracking import MlflowTracker
from tasks.tracking import MetricPoint, TrackedDataset, Tracker
from tests.fakes import FakeTracker, KeptRun
from tests.machines import free_ports

DIGEST = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Place:
    """A tracker, and how to look at what it has kept."""

    tracker: Tracker
    kept: Callable[[str], KeptRun]

    def open_run(self) -> str:
        return self.tracker.open_run("contract", "run", {"from": "contract"}).run_id


@pytest.fixture(params=["fake", pytest.param("mlflow", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "fake":
        fake = FakeTracker()
        return Place(fake, lambda run_id: fake.runs[run_id])
    machine: Machine = request.getfixturevalue("machine_up")
    return Place(MlflowTracker(machine.mlflow_url), lambda run_id: kept_by_mlflow(machine.mlflow_url, run_id))


def kept_by_mlflow(url: str, run_id: str) -> KeptRun:
    from mlflow import MlflowClient
    from mlflow.artifacts import load_text

    client = MlflowClient(tracking_uri=url)
    run = client.get_run(run_id)
    points = {key: [(point.step, point.value) for point in client.get_metric_history(run_id, key)] for key in run.data.metrics}
    folders = ["", *[entry.path for entry in client.list_artifacts(run_id) if entry.is_dir]]
    files = [entry.path for folder in folders for entry in client.list_artifacts(run_id, folder or None) if not entry.is_dir]
    return KeptRun(
        tags={key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
        params=run.data.params,
        points=points,
        files={path: load_text(f"{run.info.artifact_uri}/{path}").encode() for path in files},
        datasets=[dataset_of(used) for used in run.inputs.dataset_inputs],
        status=run.info.status,
    )


def dataset_of(used: Any) -> TrackedDataset:
    profile = json.loads(used.dataset.profile)
    [source] = json.loads(used.dataset.source).values()
    [context] = [tag.value for tag in used.tags if tag.key == "mlflow.data.context"]
    rows, digest = profile.pop("num_rows"), profile.pop("digest")
    assert digest.startswith(used.dataset.digest)
    return TrackedDataset(name=used.dataset.name, digest=digest, source=source, rows=rows, context=context, profile=profile)


def dataset(name: str = "banking77: train", **changes: Any) -> TrackedDataset:
    values: dict[str, Any] = {
        "name": name, "digest": DIGEST, "source": "/srv/data/banking77/*.csv", "rows": 8620, "context": "training",
        "profile": {"labels": 77, "median_characters": 47.5, "languages": "en"},
    }  # fmt: skip
    return TrackedDataset(**(values | changes))


def test_a_run_keeps_all_that_it_is_given(place: Place, tmp_path: Path) -> None:
    run_id, path = place.open_run(), tmp_path / "data_page.html"
    path.write_text("<!doctype html>ä")
    place.tracker.log_params(run_id, {"data.source.path": "rows.jsonl", "data.canaries": 0})
    place.tracker.log_points(run_id, [MetricPoint(step=1, milliseconds=1_000, values={"loss": 0.5})])
    place.tracker.log_points(run_id, [MetricPoint(step=2, milliseconds=2_000, values={"loss": 0.25})])
    place.tracker.log_file(run_id, path, "data")
    place.tracker.log_file(run_id, path)
    place.tracker.set_tags(run_id, {"verdict": "pass"})
    place.tracker.close_run(run_id, "FINISHED")
    kept = place.kept(run_id)
    assert kept.params == {"data.source.path": "rows.jsonl", "data.canaries": "0"}
    assert kept.points == {"loss": [(1, 0.5), (2, 0.25)]}
    assert kept.files == {"data/data_page.html": path.read_bytes(), "data_page.html": path.read_bytes()}
    assert kept.tags == {"from": "contract", "verdict": "pass"}
    assert kept.status == "FINISHED"


def test_points_that_are_sent_again_are_kept_once(place: Place) -> None:
    run_id = place.open_run()
    points = [MetricPoint(step=step, milliseconds=1_000 * step, values={"loss": 1 / step, "rate": 0.5}) for step in range(1, 601)]
    place.tracker.log_points(run_id, points[:200])
    place.tracker.log_points(run_id, points)
    place.tracker.log_points(run_id, points)
    kept = place.kept(run_id).points
    assert kept["loss"] == [(point.step, point.values["loss"]) for point in points]
    assert kept["rate"] == [(point.step, 0.5) for point in points]


def test_equal_values_of_one_step_measured_at_two_times_are_two_points(place: Place) -> None:
    run_id = place.open_run()
    twice = [MetricPoint(step=1, milliseconds=milliseconds, values={"loss": 0.5}) for milliseconds in (1_000, 2_000)]
    place.tracker.log_points(run_id, twice)
    assert place.kept(run_id).points == {"loss": [(1, 0.5), (1, 0.5)]}


def test_a_run_names_its_data_sets_by_our_digest(place: Place) -> None:
    run_id = place.open_run()
    used = [dataset(), dataset("banking77: test", rows=2897, context="testing", digest="f" * 64, profile={})]
    for one in used:
        place.tracker.log_dataset(run_id, one)
    assert sorted(place.kept(run_id).datasets, key=lambda one: one.name, reverse=True) == used


def test_a_data_set_logged_twice_stays_as_it_was_first(place: Place) -> None:
    run_id = place.open_run()
    for rows in (8620, 8620, 17):
        place.tracker.log_dataset(run_id, dataset(rows=rows))
    assert place.kept(run_id).datasets == [dataset()]


def test_runs_that_use_the_same_rows_name_the_same_data_set(place: Place) -> None:
    runs = [place.open_run(), place.open_run()]
    for run_id in runs:
        place.tracker.log_dataset(run_id, dataset())
    assert [place.kept(run_id).datasets for run_id in runs] == [[dataset()], [dataset()]]


def test_a_run_that_is_not_there_is_refused(place: Place) -> None:
    unknown = "0" * 32
    for refused in (
        lambda: place.tracker.log_dataset(unknown, dataset()),
        lambda: place.tracker.log_params(unknown, {"key": 1}),
        lambda: place.tracker.log_points(unknown, [MetricPoint(step=1, milliseconds=1, values={"loss": 1.0})]),
    ):
        with pytest.raises(RegistryError):
            refused()


def test_a_tracker_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="MLflow did not do what it was asked to"):
        MlflowTracker(f"http://127.0.0.1:{free_ports(1)[0]}").log_dataset("run", dataset())


def test_takes_more_parameters_than_fit_into_one_call(place: Place) -> None:
    run_id = place.open_run()
    place.tracker.log_params(run_id, {f"key{number}": number for number in range(250)})
    assert len(place.kept(run_id).params) == 250
