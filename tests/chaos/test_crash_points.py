"""Promotion, rollback and undo, cut off after every single call that they make: reconciling ends with one champion, which is served."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deployments.server.app import create_app
from pipeline_config.errors import RolloutError, TunegateError
from tasks.deploy.client import ModelServer
from tasks.ledger import REMARKS, Ledger
from tasks.registry.aliases import check_tail, is_signed
from tasks.registry.promote import was_rolled_out
from tasks.rows import Message
from tests.chaos.counting import COUNTED
from tests.chaos.steps import Manner, Ports, points, promotion, reconciling, rollback, rollout, verify
from tests.fakes import FakeEngine, FakeRegistry
from tests.serving import serving
from tests.versions import MODEL, Candidate, make_config

ASK: list[Message] = [{"role": "system", "content": "Route."}, {"role": "user", "content": "vpn drops"}]
BAD = 4
"""A version whose answers, once it is served, are not the ones that were judged."""
NOBODY: dict[str, int] = {}


@dataclass(frozen=True)
class Case:
    """Something that can be cut off.

    Attributes:
        before: versions that went live before it, in this order.
        run: the thing itself.
        outcomes: for the version that may be live in the end (0: none), what the aliases have to be then.
        done: which of them is live if it was recorded before it was cut off and is finished.
    """

    before: tuple[int, ...]
    run: Callable[[Ports], None]
    outcomes: dict[int, dict[str, int]]
    done: int


CASES = {
    "first promotion": Case((), lambda ports: promotion(ports, 1), {0: NOBODY, 1: {"champion": 1}}, 1),
    "promotion": Case((1, 2), lambda ports: promotion(ports, 3), {2: {"champion": 2, "previous": 1}, 3: {"champion": 3, "previous": 2}}, 3),
    "first promotion, not proven": Case((), lambda ports: promotion(ports, BAD), {0: NOBODY}, 0),
    "promotion, not proven": Case((1, 2), lambda ports: promotion(ports, BAD), {2: {"champion": 2, "previous": 1}}, 2),
    "rollback": Case((1, 2, 3), rollback, {3: {"champion": 3, "previous": 2}, 2: {"champion": 2, "previous": 1}}, 2),
    "rollback to the first": Case((1, 2, 3), lambda p: rollback(p, 1), {3: {"champion": 3, "previous": 2}, 1: {"champion": 1}}, 1),
}


class Theatre:
    """Four registered versions, and one model server that each scene gets afresh."""

    def __init__(self, folder: Path, url: str, put_on: Callable[[Any], None]) -> None:
        self.folder, self._put_on, self._numbers = folder, put_on, count()
        self._server = ModelServer(url)
        self.registry = FakeRegistry(folder / "registry")
        for version in (1, 2, 3, BAD):
            answer = "something else" if version == BAD else f"{MODEL}-v{version}|system:Route.|user:vpn drops"
            config = make_config(registry={"model_name": MODEL, "approval": "auto"})
            candidate = Candidate(
                folder / str(version), weights=str(version), config=config, parity=[{"messages": ASK, "answer": answer}] * 2
            )
            candidate.register(self.registry, str(version))
            verify(self._ports(self.registry, folder / "unused.sqlite"), version)

    def begin(self, before: tuple[int, ...]) -> Callable[[], Ports]:
        """Lets versions go live; returns what makes a scene of its own that begins there."""
        registry, kept = self.registry.copy(), self.folder / f"before-{next(self._numbers)}.sqlite"
        first = self._ports(registry, kept)
        for version in before:
            promotion(first, version)

        def scene() -> Ports:
            ledger = self.folder / f"scene-{next(self._numbers)}.sqlite"
            shutil.copyfile(kept, ledger)
            ports = self._ports(registry.copy(), ledger)
            if before:
                assert ports.server.chat(MODEL, ASK).model == f"{MODEL}-v{before[-1]}"
            return ports

        return scene

    def _ports(self, registry: FakeRegistry, ledger: Path) -> Ports:
        cache = self.folder / "versions"
        cache.mkdir(exist_ok=True)
        ports = Ports(registry, Ledger(ledger), self._server, cache, self.folder / "lock")
        self._put_on(create_app(lambda base: FakeEngine(base.digest), ports.ledger, cache))
        return ports


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    play: list[Any] = []

    async def stage(scope: Any, receive: Any, send: Any) -> None:
        await play[-1](scope, receive, send)

    def put_on(app: Any) -> None:
        play[:] = [app]

    with serving(stage) as url:
        yield Theatre(tmp_path_factory.mktemp("theatre"), url, put_on)


@pytest.mark.parametrize("manner", ["killed", "lost", "down"])
@pytest.mark.parametrize("name", CASES)
def test_reconciling_heals_what_is_cut_off(theatre: Theatre, name: str, manner: Manner) -> None:
    case, number = CASES[name], 0
    for place, ports in points(theatre.begin(case.before), case.run, manner):
        number += 1
        recorded = len(decisions(ports)) > len(case.before)
        assert set(ports.registry.aliases(MODEL).values()) <= {entry.version for entry in decisions(ports)}, f"{place}: ahead of the ledger"
        reconciling(ports)
        must = None if manner != "killed" else case.done if recorded else next(iter(case.outcomes))
        require_right(ports, case, place, must)
        require_nothing_left_to_do(ports, place)
    COUNTED[f"{name}, {manner}"] = number
    assert number > 20


@pytest.mark.parametrize("name", ["promotion", "promotion, not proven", "rollback"])
def test_reconciling_may_itself_be_cut_off(theatre: Theatre, name: str) -> None:
    case, total = CASES[name], 0
    for first, ports in distinct(points(theatre.begin(case.before), case.run)):
        for second, again in points(copies(theatre, ports), reconciling):
            total += 1
            reconciling(again)
            require_right(again, case, f"{first}, then {second}", None)
    COUNTED[f"{name}, then reconciling"] = total
    assert total > 60


@pytest.mark.parametrize("name", CASES)
def test_what_is_cut_off_can_be_started_again(theatre: Theatre, name: str) -> None:
    case, number = CASES[name], 0
    for place, ports in points(theatre.begin(case.before), case.run):
        number += 1
        if len(decisions(ports)) > len(case.before) and was_rolled_out(ports.registry, ports.ledger, MODEL):
            continue  # it was finished, and starting again would be another one
        with suppress(RolloutError):  # not proven, and taken back
            case.run(ports)
        require_right(ports, case, place, case.done)
        assert len(decisions(ports)) == len(case.before) + (2 if "not proven" in name else 1), place
    COUNTED[f"{name}, started again"] = number


def test_aliases_moved_by_hand_are_put_back_wherever_that_is_cut_off(theatre: Theatre) -> None:
    case = Case((1, 2), reconciling, {2: {"champion": 2, "previous": 1}}, 2)
    start = theatre.begin(case.before)

    def moved() -> Ports:
        ports = start()
        ports.registry.set_alias(MODEL, "champion", BAD)
        ports.registry.set_alias(MODEL, "previous", 3)
        return ports

    number = 0
    for place, ports in points(moved, reconciling):
        number += 1
        untouched = ports.registry.aliases(MODEL) == {"champion": BAD, "previous": 3}
        reconciling(ports)
        require_right(ports, case, place, 2)
        remarks = [entry for entry in ports.ledger.entries() if entry.policy in REMARKS]
        assert remarks[0].concerns == f"{MODEL}-v{BAD}", place
        assert "champion 4, previous 3" in remarks[0].reason, place
        assert len(remarks) == 1 or not untouched, place  # said once, however often it was begun
        require_nothing_left_to_do(ports, place)
    COUNTED["aliases moved by hand"] = number
    assert number > 10


def test_a_proven_version_is_not_taken_back_when_the_server_fails_later(theatre: Theatre) -> None:
    ports = theatre.begin((1, 2))()
    silent = ModelServer("http://127.0.0.1:9")
    with pytest.raises(RolloutError):
        rollout(Ports(ports.registry, ports.ledger, silent, ports.cache, ports.lock), 2)
    with pytest.raises(TunegateError):
        reconciling(Ports(ports.registry, ports.ledger, silent, ports.cache, ports.lock))
    assert ports.registry.aliases(MODEL) == {"champion": 2, "previous": 1}
    assert len(ports.ledger.entries()) == 2


def decisions(ports: Ports) -> list[Any]:
    return [entry for entry in ports.ledger.entries() if entry.policy not in REMARKS]


def require_right(ports: Ports, case: Case, place: str, must: int | None) -> None:
    """One champion, the right previous one, a whole ledger, and a server that serves the champion."""
    live = ports.ledger.live(MODEL)
    version = (live.version if live else None) or 0
    assert must in (None, version), place
    assert version in case.outcomes, place
    assert ports.registry.aliases(MODEL) == case.outcomes[version], place
    check_tail(ports.registry, ports.ledger, MODEL)
    assert not ports.ledger.entries() or is_signed(ports.registry, ports.ledger.entries()[-1]), place
    assert [entry.seq for entry in ports.ledger.entries()] == list(range(1, ports.ledger.verify() + 1)), place
    assert f"{MODEL}-v{BAD}" not in ports.server.adapters(), place
    if version:
        reply = ports.server.chat(MODEL, ASK)
        assert reply.model == f"{MODEL}-v{version}", place
        assert was_rolled_out(ports.registry, ports.ledger, MODEL), place
    else:
        assert MODEL not in ports.server.models(), place


def require_nothing_left_to_do(ports: Ports, place: str) -> None:
    """Reconciling once more writes nothing."""
    before = state(ports)
    reconciling(ports)
    assert state(ports) == before, place


def state(ports: Ports) -> Any:
    """All that lasts, without times and hashes."""
    entries = [(entry.version, entry.policy, entry.reason) for entry in ports.ledger.entries()]
    seqs = {entry.hash: entry.seq for entry in ports.ledger.entries()}
    tags = {v: {key: seqs.get(value, value) for key, value in (ports.registry.tags(MODEL, v) or {}).items()} for v in (1, 2, 3, BAD)}
    return entries, ports.registry.aliases(MODEL), tags, ports.server.health()["adapters"]


def distinct(cut: Iterator[tuple[str, Ports]]) -> Iterator[tuple[str, Ports]]:
    """Leaves out what ended in a state that another one ended in: most calls only read."""
    seen = []
    for place, ports in cut:
        if (found := state(ports)) not in seen:
            seen.append(found)
            yield place, ports


def copies(theatre: Theatre, ports: Ports) -> Callable[[], Ports]:
    """Scenes that begin where one was cut off, with a server that has just started."""
    assert isinstance(ports.registry, FakeRegistry)
    registry, ledger = ports.registry.copy(), Path(ports.ledger.where)

    def scene() -> Ports:
        target = ledger.with_name(f"{ledger.stem}-{next(theatre._numbers)}.sqlite")
        shutil.copyfile(ledger, target)
        return theatre._ports(registry.copy(), target)

    return scene
