"""Port: where parameters, curves and files of a run are kept for people to look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from tasks.artifacts import Record


class TrackedRun(Record):
    """A run in the tracking server."""

    run_id: str
    url: str


class TrackedDataset(Record):
    """Rows that a run used, as the tracking server lists them beside it.

    `digest` is ours, of the rows' content, and `source` a path or a URL without a password. `profile` holds a few figures to be shown.
    """

    name: str
    digest: str
    source: str
    rows: int
    context: Literal["training", "validation", "testing"]
    profile: dict[str, float | str]


class Tracker(Protocol):
    """Keeps what happened. Writing twice is harmless."""

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
        """Begins a run, and its experiment if there is none."""
        ...

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Keeps settings, by dotted key."""
        ...

    def log_metrics(self, run_id: str, points: Mapping[str, float], step: int) -> None:
        """Keeps one point of each named curve."""
        ...

    def log_file(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keeps a copy of a file."""
        ...

    def log_dataset(self, run_id: str, dataset: TrackedDataset) -> None:
        """Says which rows the run used.

        Name and digest are a data set's identity: if the run has it already, what was logged first stays. Give each context another name.
        """
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Marks the run."""
        ...

    def close_run(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Ends a run."""
        ...


class MetricsBuffer:
    """Sends curve points in batches, at most one each `interval` seconds.

    While the tracking server does not answer, points wait here; each is sent once.
    """

    def __init__(self, tracker: Tracker, run_id: str, clock: "Clock", interval: float = 2.0) -> None:
        self._tracker, self._run_id, self._clock, self._interval = tracker, run_id, clock, interval
        self._waiting: list[tuple[int, dict[str, float]]] = []
        self._next_try = 0.0

    def add(self, step: int, points: Mapping[str, float]) -> None:
        """Queues points, and sends what waits if it is time."""
        self._waiting.append((step, dict(points)))
        if self._clock() >= self._next_try:
            self._next_try = self._clock() + self._interval
            self._send(patient=True)

    def close(self) -> None:
        """Sends the rest.

        Raises:
            RegistryError: the tracking server still does not answer.
        """
        self._send(patient=False)

    def _send(self, *, patient: bool) -> None:
        from pipeline_config.errors import RegistryError

        while self._waiting:
            step, points = self._waiting[0]
            try:
                self._tracker.log_metrics(self._run_id, points, step)
            except RegistryError:
                if patient:
                    return
                raise
            self._waiting.pop(0)


class Clock(Protocol):
    """Seconds that only go forward, such as `time.monotonic`."""

    def __call__(self) -> float:
        """Now."""
        ...
