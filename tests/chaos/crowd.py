"""Many promotions at one time, from threads of several processes. Started by `tests/chaos/test_concurrency.py`."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any, cast

from pipeline_config.errors import LedgerError, PromotionRefused, RegistryError
from tasks.ledger import Ledger
from tasks.registry.approval import Approval
from tasks.registry.port import Registry
from tasks.registry.promote import decided, promote
from tasks.registry.verdict import Evidence
from tests.fakes import FakeRegistry

_TRIES = 400


class Registries(BaseManager):
    """Holds a registry in a process of its own, as MLflow's server does."""


Registries.register("open", FakeRegistry)


def promote_all(
    registry: Any, ledger: Path | str, lock: Path, candidates: Sequence[tuple[Evidence, Approval]], start: Any, outcomes: Any
) -> None:
    """One process: each candidate is promoted by a thread of its own. All begin at once, and having seen the same.

    Args:
        start: barrier of all threads of all processes.
        outcomes: queue that gets (version, what became of its first try, conflicts until it was live) of each.
    """

    def compete(candidate: tuple[Evidence, Approval]) -> tuple[int, str, int]:
        evidence, approval = candidate
        mine, port = Ledger(ledger), cast(Registry, registry)
        seen = decided(mine, evidence.model_name)
        start.wait(timeout=120)
        first, conflicts = "", 0
        for _ in range(_TRIES):
            outcome = _outcome(lambda now=seen: promote(port, mine, evidence, approval, now, lock))
            first = first or outcome
            if outcome != "conflict":
                return evidence.version, first, conflicts
            conflicts += 1
            seen = decided(mine, evidence.model_name)
        return evidence.version, "starved", conflicts

    with ThreadPoolExecutor(len(candidates)) as pool:
        for outcome in pool.map(compete, candidates):
            outcomes.put(outcome)


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except LedgerError:
        return "conflict"
    except PromotionRefused:
        return "refused"
    except RegistryError:
        return "aliases contended"  # it is in the ledger, and others moved the aliases at the same time
    return "live"


class Watcher:
    """Looks at the aliases all the time, as a reader of the registry may."""

    def __init__(self, registry: Any, model_name: str) -> None:
        self.seen: set[int] = set()
        self.looks = 0
        self._registry, self._model, self._stop = registry, model_name, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            self.seen |= set(self._registry.aliases(self._model).values())
            self.looks += 1
