"""Port: where parameters, curves and files of a run are kept for people to look at."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from pipeline_config.errors import RegistryError
from tasks.artifacts import Record
from tasks.files import write_atomically


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


class MetricPoint(Record):
    """One point of each named curve. `milliseconds` since 1970, when it was measured: part of what makes it this point and no other."""

    step: int
    milliseconds: int
    values: dict[str, float]


class Tracker(Protocol):
    """Keeps what happened. Writing twice is harmless."""

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
        """Begins a run, and its experiment if there is none."""
        ...

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Keeps settings, by dotted key."""
        ...

    def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Keeps points in one call.

        A point that is there already (name, step, time and value) is not kept twice: who got no answer may send the same ones again.
        """
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


_BATCH = 100
"""Points sent in one call. MLflow takes 1,000 values, and a step of training has fewer than ten."""


class MetricsBuffer:
    """Points on their way to the tracking server.

    They wait here while it does not answer, and leave only once it said that it has them. If its answer is lost, they are sent again with
    the time that they were measured at, by which the server knows them (:meth:`Tracker.log_points`): nothing is lost, nothing doubled.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, tracker: Tracker, run_id: str, clock: Callable[[], float] = time.time) -> None:
        self._tracker, self._run_id, self._clock = tracker, run_id, clock
        self._waiting: list[MetricPoint] = []
        # Held for moments only, never while the server is asked.
        self._lock = threading.Lock()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Queues one point of each curve. Never waits for the server."""
        point = MetricPoint(step=step, milliseconds=int(self._clock() * 1000), values=dict(values))
        with self._lock:
            self._waiting.append(point)

    def send(self) -> bool:
        """Sends what waits, oldest first, up to the first refusal; one thread at a time. Returns whether all of it has arrived."""
        while batch := self.waiting(_BATCH):
            try:
                self._tracker.log_points(self._run_id, batch)
            except RegistryError:
                return False
            with self._lock:
                del self._waiting[: len(batch)]
        return True

    def waiting(self, limit: int | None = None) -> list[MetricPoint]:
        """The oldest points that have not arrived, or may not have."""
        with self._lock:
            return self._waiting[:limit]

    def keep(self, path: Path) -> int:
        """Writes what still waits to a file, a point on each line as JSON, if anything does. Returns the number of points."""
        waiting = self.waiting()
        if waiting:
            write_atomically(path, "".join(point.model_dump_json() + "\n" for point in waiting).encode())
        return len(waiting)


@contextmanager
def sent_in_background(buffer: MetricsBuffer, *, interval: float = 2.0, patience: float = 60.0) -> Iterator[None]:
    """Sends a buffer's points from a thread of its own, so that a server that does not answer never holds up whoever measures.

    On leaving, what waits is tried until all of it has arrived, for `patience` seconds at most; after an error only once. What has not
    arrived then stays in the buffer, and no error is raised: a finished training is worth more than its curves.
    """
    ended, hurry = threading.Event(), threading.Event()

    def work() -> None:
        while not ended.wait(interval):
            buffer.send()
        deadline = time.monotonic() + patience
        while not buffer.send() and not hurry.is_set() and time.monotonic() < deadline:
            hurry.wait(interval)

    # A daemon: a call that hangs must not keep the process from ending.
    thread = threading.Thread(target=work, daemon=True, name="metrics")
    thread.start()
    try:
        yield
    except BaseException:
        hurry.set()
        raise
    finally:
        ended.set()
        thread.join(interval if hurry.is_set() else patience)
