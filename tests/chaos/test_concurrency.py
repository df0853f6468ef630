"""Fifty promotions at once, from threads of several processes: one wins at a time, and nothing that is not approved is ever named."""

import multiprocessing
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from tasks.ledger import RECONCILE, Ledger
from tasks.registry.aliases import check_tail
from tasks.registry.approval import Approval
from tasks.registry.port import Registry
from tasks.registry.reconcile import reconcile
from tasks.registry.verdict import Evidence, verified_evidence
from tests.chaos.crowd import Registries, Watcher, promote_all
from tests.versions import MODEL, Candidate, make_artifact, make_config

PROCESSES, EACH, UNAPPROVED = 5, 10, 2
"""Processes, approved versions that each promotes, and versions that nobody approved, which it tries as well."""
APPROVED = Approval(state="approved", policy="auto", actor="policy auto (no person)", reason="every gate passed")
AWAITING = Approval(state="awaiting", policy="mlflow_review", actor="nobody", reason="nobody has decided")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hosts", "kept"), [(1, "file"), (PROCESSES, "file"), pytest.param(PROCESSES, "postgres", marks=pytest.mark.services)]
)
def test_of_fifty_promotions_one_wins_at_a_time(
    tmp_path: Path, hosts: int, kept: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    place: Path | str = tmp_path / "ledger.sqlite" if kept == "file" else request.getfixturevalue("postgres_url")
    context = multiprocessing.get_context("spawn")
    total = PROCESSES * (EACH + UNAPPROVED)
    with Registries(ctx=context) as manager:
        registry = manager.open(tmp_path / "registry")  # type: ignore[attr-defined]
        evidence = [add(registry, tmp_path, number) for number in range(total)]
        approved = {found.version for found in evidence[: PROCESSES * EACH]}
        start, outcomes = context.Barrier(total), context.Queue()
        processes = []
        for number in range(PROCESSES):
            candidates = [(found, APPROVED if found.version in approved else AWAITING) for found in evidence[number::PROCESSES]]
            lock = tmp_path / f"lock-{number % hosts}"  # hosts have no lock in common
            arguments = (registry, place, lock, candidates, start, outcomes)
            processes.append(context.Process(target=promote_all, args=arguments))
        ledger = Ledger(place)
        with Watcher(registry, MODEL) as watcher:
            for process in processes:
                process.start()
            found = [outcomes.get(timeout=300) for _ in range(total)]
            for process in processes:
                process.join()
        first = Counter(outcome for _, outcome, _ in found)
        conflicts = sum(count for _, _, count in found)
        with capsys.disabled():
            print(f"\n  {hosts} host(s), ledger in {kept}: first tries {dict(first)}; {conflicts} conflicts until all were live", end="")

        assert first["live"] + first["aliases contended"] == 1
        assert (first["conflict"], first["refused"]) == (PROCESSES * EACH - 1, PROCESSES * UNAPPROVED)
        assert watcher.looks > 20
        assert watcher.seen <= approved
        assert ledger.verify() == len(approved)
        assert sorted(entry.version or 0 for entry in ledger.entries()) == sorted(approved)
        healed = reconcile(cast(Registry, registry), ledger, MODEL, tmp_path / "lock-0")
        assert healed.remark is None or (hosts > 1 and healed.remark.policy == RECONCILE)
        last = [entry.version for entry in ledger.entries()[: len(approved)]]
        assert registry.aliases(MODEL) == {"champion": last[-1], "previous": last[-2]}
        check_tail(cast(Registry, registry), ledger, MODEL)


def add(registry: Registry, folder: Path, number: int) -> Evidence:
    config = make_config(registry={"model_name": MODEL, "approval": "auto"})
    make_artifact(folder / f"artifact-{number}", str(number))
    candidate = Candidate(folder / f"candidate-{number}", artifact=folder / f"artifact-{number}", config=config)
    return verified_evidence(registry, MODEL, candidate.register(registry, str(number)), folder / "versions")
