"""The tracking port on an MLflow server."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pipeline_config.errors import RegistryError
from tasks.tracking import MetricPoint, TrackedDataset, TrackedRun

T = TypeVar("T")
_LARGEST_BATCH = 1000
"""MLflow takes no more values in one call."""
_MOST_PARAMS = 100
"""MLflow takes no more parameters in one call."""
_LONGEST_PARAM = 6000
"""MLflow refuses parameter values above 6,000 characters."""
_LONGEST_DIGEST = 36
"""MLflow refuses longer digests of data sets."""


class MlflowTracker:
    """`tasks.tracking.Tracker` over HTTP. Keeps no global state: two runs in one process do not meet."""

    def __init__(self, url: str) -> None:
        from mlflow import MlflowClient

        self._url = url.rstrip("/")
        self._client: Any = MlflowClient(tracking_uri=url, registry_uri=url)

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
        """See :class:`tasks.tracking.Tracker`."""
        experiment_id = self._experiment(experiment)
        run = self._ask(lambda: self._client.create_run(experiment_id, run_name=name, tags=dict(tags)))
        return TrackedRun(run_id=run.info.run_id, url=f"{self._url}/#/experiments/{experiment_id}/runs/{run.info.run_id}")

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """See :class:`tasks.tracking.Tracker`."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in params.items()]
        for start in range(0, len(entries), _MOST_PARAMS):
            self._ask(partial(self._client.log_batch, run_id, params=entries[start : start + _MOST_PARAMS]))

    def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """See :class:`tasks.tracking.Tracker`. Run, name, time, step and value are the key of a value in the server's table."""
        from mlflow.entities import Metric

        entries = [Metric(key, value, point.milliseconds, point.step) for point in points for key, value in point.values.items()]
        for start in range(0, len(entries), _LARGEST_BATCH):
            self._ask(partial(self._client.log_batch, run_id, metrics=entries[start : start + _LARGEST_BATCH]))

    def log_file(self, run_id: str, path: Path, folder: str = "") -> None:
        """See :class:`tasks.tracking.Tracker`."""
        self._ask(lambda: self._client.log_artifact(run_id, str(path), folder or None))

    def log_dataset(self, run_id: str, dataset: TrackedDataset) -> None:
        """See :class:`tasks.tracking.Tracker`. The server keeps 36 characters of the digest; all of it stands in the profile."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        kind, source = _source_of(dataset.source)
        # Not one of `mlflow.data`'s classes: they compute a digest and a profile of their own from rows in memory.
        entry = Dataset(
            name=dataset.name,
            digest=dataset.digest[:_LONGEST_DIGEST],
            source_type=kind,
            source=json.dumps(source),
            profile=json.dumps({"num_rows": dataset.rows, "digest": dataset.digest, **dataset.profile}),
        )
        used = DatasetInput(entry, [InputTag("mlflow.data.context", dataset.context)])
        self._ask(lambda: self._client.log_inputs(run_id, [used]))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See :class:`tasks.tracking.Tracker`."""
        from mlflow.entities import RunTag

        self._ask(lambda: self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()]))

    def close_run(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """See :class:`tasks.tracking.Tracker`."""
        self._ask(lambda: self._client.set_terminated(run_id, status))

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._ask(lambda: self._client.get_experiment_by_name(name))
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException:
            # Somebody else was faster.
            return str(self._ask(lambda: self._client.get_experiment_by_name(name)).experiment_id)

    def _ask(self, call: Callable[[], T]) -> T:
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"MLflow did not do what it was asked to: {error}", where=self._url, hint="`tunegate status` says whether it is up"
            ) from error


def _source_of(location: str) -> tuple[str, dict[str, str]]:
    """Kind and fields of a data set's source, as MLflow's own pages know them and link to them."""
    scheme = urlsplit(location).scheme
    if scheme == "hf":
        return "hugging_face", {"path": location.removeprefix("hf:").split("@")[0].split(":")[0]}
    if scheme in ("http", "https"):
        return "http", {"url": location}
    return ("local" if len(scheme) < 2 else scheme), {"uri": location}
