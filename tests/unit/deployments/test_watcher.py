"""The watching service: it goes on whatever happens, and says how it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.services.health import watcher_fault, watcher_mark
from deployments.watcher import watch_on
from pipeline_config.environment import Machine, read_machine
from pipeline_config.errors import RegistryError
from tasks.files import read_json, write_json
from tasks.ledger import Ledger
from tasks.registry.port import Listed
from tasks.registry.watching import RunEnd, Watch
from tests.fakes import FakeRegistry

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Enough(Exception):
    """The service never ends by itself."""


class NoRuns:
    def start(self, model_name: str, version: int, key: str) -> str:
        raise AssertionError("nobody has decided anything")

    def ended(self, run_id: str) -> RunEnd | None:
        return None


class Shaky(FakeRegistry):
    """Does not answer the looks that are named; `looks` counts."""

    def __init__(self, root: Path, silent: set[int]) -> None:
        super().__init__(root)
        self.silent, self.looks = silent, 0

    def tagged(self, key: str) -> list[Listed]:
        self.looks += key == "tunegate.decision"
        if self.looks in self.silent:
            raise RegistryError("no answer")
        return super().tagged(key)


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Watches for some looks, two seconds apart; returns the mark after each."""

    def run(looks: int, silent: set[int]) -> list[dict[str, Any]]:
        marks: list[dict[str, Any]] = []
        mark = tmp_path / "approvals.mark"

        def sleep(_: float) -> None:
            marks.append(read_json(mark))
            if len(marks) == looks:
                raise Enough

        watch = Watch(Shaky(tmp_path / "registry", silent), Ledger(tmp_path / "ledger.sqlite"), NoRuns())
        with pytest.raises(Enough):
            watch_on(watch, mark, lambda: START + timedelta(seconds=2 * len(marks)), sleep)
        return marks

    return run


def test_it_goes_on_after_a_registry_was_silent_and_says_so_meanwhile(watched: Callable[..., list[dict[str, Any]]]) -> None:
    assert [mark["fault"] for mark in watched(5, {2, 3})] == ["", "no answer", "no answer", "", ""]


def test_a_mark_is_written_each_ten_seconds_where_nothing_changes(watched: Callable[..., list[dict[str, Any]]]) -> None:
    assert [mark["at"] - START.timestamp() for mark in watched(7, set())] == [0, 0, 0, 0, 0, 10, 10]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = read_machine({"TUNEGATE_WORKSPACE": str(tmp_path)})
    watcher_mark(machine).parent.mkdir(parents=True)
    return machine


@pytest.mark.parametrize(
    ("age", "fault", "says"),
    [(1.0, "", None), (1.0, "no answer", "no answer"), (61.0, "", "it has not looked for 61 s"), (101.0, "", "it has not looked yet")],
)
def test_how_it_is_shows_in_its_mark(machine: Machine, age: float, fault: str, says: str | None) -> None:
    now = datetime.now(UTC).timestamp()
    write_json(watcher_mark(machine), {"at": now - age, "fault": fault})
    assert watcher_fault(machine, now - 100) == says


@pytest.mark.parametrize("content", [None, "", "{}", '{"at": null, "fault": ""}'])
def test_without_a_mark_it_has_not_looked_yet(machine: Machine, content: str | None) -> None:
    if content is not None:
        watcher_mark(machine).write_text(content)
    assert watcher_fault(machine, 1.0) == "it has not looked yet"
