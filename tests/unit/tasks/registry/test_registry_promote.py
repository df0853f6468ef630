"""Promotion: ledger first, aliases after it, each step safe to repeat; undo leads back."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_config.errors import LedgerError, PromotionRefused, RegistryError
from tasks.ledger import REJECTION, ROLLBACK, UNDO, Entry, Ledger
from tasks.registry.aliases import mirror
from tasks.registry.approval import Approval
from tasks.registry.port import Alias
from tasks.registry.promote import decided, go_back, is_live, note_rolled_out, promote, rollback_target, undo, was_rolled_out
from tasks.registry.rival import rival_of
from tasks.registry.verdict import Evidence, verified_evidence
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate, make_config

APPROVED = Approval(state="approved", policy="auto", actor="policy auto (no person)", reason="every gate passed")
Version = Callable[..., Evidence]


def go_live(registry: FakeRegistry, ledger: Ledger, evidence: Evidence, lock: Path) -> Entry:
    """A promotion that begins now, approved."""
    return promote(registry, ledger, evidence, APPROVED, decided(ledger, evidence.model_name), lock)


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def version(registry: FakeRegistry, tmp_path: Path, cache: Path) -> Version:
    """Registers and verifies a version with weights of its own."""

    def make(weights: str, model_name: str = MODEL) -> Evidence:
        config = make_config(registry={"model_name": model_name, "approval": "auto"})
        candidate = Candidate(tmp_path / model_name / weights, weights=weights, config=config)
        return verified_evidence(registry, model_name, candidate.register(registry, weights, model_name), cache)

    return make


def test_the_first_promotion_makes_a_champion_without_a_previous(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    first = version("one")
    entry = go_live(registry, ledger, first, lock)
    assert (entry.version, entry.adapter_name, entry.actor, entry.policy) == (1, "routing-v1", "policy auto (no person)", "auto")
    assert (entry.artifact_digest, entry.gate_report_digest) == (first.artifact_digest, first.gate_report_digest)
    assert registry.aliases(MODEL) == {"champion": 1}


def test_the_next_promotion_keeps_the_last_champion_as_previous(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    for weights in ("one", "two", "three"):
        go_live(registry, ledger, version(weights), lock)
    assert registry.aliases(MODEL) == {"champion": 3, "previous": 2}


def test_promoting_what_is_live_records_nothing_and_puts_moved_aliases_back(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    go_live(registry, ledger, version("one"), lock)
    second = version("two")
    entry = go_live(registry, ledger, second, lock)
    registry.set_alias(MODEL, "champion", 1)
    registry.delete_alias(MODEL, "previous")
    assert go_live(registry, ledger, second, lock) == entry
    assert len(ledger.entries()) == 2
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


def test_models_do_not_touch_each_others_aliases(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    go_live(registry, ledger, version("one"), lock)
    go_live(registry, ledger, version("other", "intents"), lock)
    assert registry.aliases(MODEL) == {"champion": 1}
    assert registry.aliases("intents") == {"champion": 1}


@pytest.mark.parametrize("state", ["awaiting", "rejected"])
def test_what_is_not_approved_is_not_recorded(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path, state: str) -> None:
    with pytest.raises(PromotionRefused, match="not approved"):
        promote(registry, ledger, version("one"), Approval.model_validate(APPROVED.model_dump() | {"state": state}), 0, lock)
    assert ledger.head() is None
    assert registry.aliases(MODEL) == {}


def test_an_undo_brings_back_what_was_live(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    for weights in ("one", "two"):
        go_live(registry, ledger, version(weights), lock)
    third = version("three")
    go_live(registry, ledger, third, lock)
    entry = undo(registry, ledger, third, "2 of 20 answers differ", lock)
    assert entry is not None
    assert (entry.version, entry.policy, entry.reason) == (2, UNDO, "2 of 20 answers differ")
    assert ledger.live(MODEL) == entry
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


def test_an_undo_of_the_first_version_leaves_nothing_live(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first = version("one")
    go_live(registry, ledger, first, lock)
    entry = undo(registry, ledger, first, "the server is down", lock)
    assert entry is not None
    assert (entry.version, entry.adapter_name, entry.artifact_digest, entry.gate_report_digest) == (None, None, None, None)
    assert registry.aliases(MODEL) == {}


def test_an_undo_of_a_version_that_is_not_live_does_nothing(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first, second = version("one"), version("two")
    for evidence in (first, second):
        go_live(registry, ledger, evidence, lock)
    assert undo(registry, ledger, first, "too late", lock) is None
    assert len(ledger.entries()) == 2


def test_a_version_taken_back_can_be_promoted_again(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first, second = version("one"), version("two")
    go_live(registry, ledger, first, lock)
    go_live(registry, ledger, second, lock)
    undo(registry, ledger, second, "the server was down", lock)
    assert is_live(go_live(registry, ledger, second, lock), second)
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


class LastWriterWins(FakeRegistry):
    """Somebody else moves the champion right after we do."""

    def set_alias(self, model_name: str, alias: Alias, version: int) -> None:
        super().set_alias(model_name, alias, version)
        super().set_alias(model_name, "champion", 1)


def test_an_alias_that_somebody_moves_at_the_same_time_is_noticed(tmp_path: Path, ledger: Ledger, cache: Path, lock: Path) -> None:
    registry = LastWriterWins(tmp_path / "registry")
    Candidate(tmp_path / "v1").register(registry, "one")
    second = Candidate(tmp_path / "v2", weights="two").register(registry, "two")
    with pytest.raises(RegistryError, match="the aliases are"):
        go_live(registry, ledger, verified_evidence(registry, MODEL, second, cache), lock)


def test_mirroring_is_safe_to_repeat(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    go_live(registry, ledger, version("one"), lock)
    mirror(registry, ledger, MODEL)
    assert registry.aliases(MODEL) == {"champion": 1}


def test_of_promotions_that_began_together_one_wins_and_the_others_conflict(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    lost: list[LedgerError] = []

    def compete(evidence: Evidence) -> None:
        try:
            promote(registry, ledger, evidence, APPROVED, 0, lock)
        except LedgerError as error:
            lost.append(error)

    threads = [threading.Thread(target=compete, args=(version(str(number)),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 5
    assert all("somebody else has decided on routing meanwhile" in str(error) for error in lost)
    assert ledger.verify() == 1
    assert registry.aliases(MODEL) == {"champion": ledger.entries()[0].version}


def test_other_models_and_remarks_are_no_conflict(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    go_live(registry, ledger, version("one"), lock)
    seen, second = decided(ledger, MODEL), version("two")
    go_live(registry, ledger, version("other", "intents"), lock)
    ledger.remark(model_name=MODEL, policy=REJECTION, actor="a person", reason="no", concerns="routing-v9", expected_head=2)
    promote(registry, ledger, second, APPROVED, seen, lock)
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


def test_a_rollback_chosen_before_somebody_else_decided_is_a_conflict(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    first, second, third = (version(weights) for weights in ("one", "two", "three"))
    go_live(registry, ledger, first, lock)
    go_live(registry, ledger, second, lock)
    target = rollback_target(registry, ledger, MODEL, None)
    go_live(registry, ledger, third, lock)
    with pytest.raises(LedgerError, match="routing-v3 is live by entry 3"):
        go_back(registry, ledger, first, target, "a person", "v2 is slow", lock)
    assert registry.aliases(MODEL) == {"champion": 3, "previous": 2}


def test_an_interrupted_rollback_is_finished_and_leads_no_further_back(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    first, second, third = (version(weights) for weights in ("one", "two", "three"))
    for evidence in (first, second, third):
        go_live(registry, ledger, evidence, lock)
    go_back(registry, ledger, second, rollback_target(registry, ledger, MODEL, None), "a person", "v3 is slow", lock)
    for asked in (None, 2):
        target = rollback_target(registry, ledger, MODEL, asked)
        assert target.version == 2
        assert go_back(registry, ledger, second, target, "a person", "v3 is slow", lock).seq == 4
    note_rolled_out(registry, ledger, second)
    assert rollback_target(registry, ledger, MODEL, None).version == 1
    with pytest.raises(PromotionRefused, match="version 2 is live already"):
        rollback_target(registry, ledger, MODEL, 2)


def test_what_an_undo_brings_back_counts_as_rolled_out(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first, second = version("one"), version("two")
    go_live(registry, ledger, first, lock)
    assert not was_rolled_out(registry, ledger, MODEL)
    note_rolled_out(registry, ledger, first)
    assert was_rolled_out(registry, ledger, MODEL)
    go_live(registry, ledger, second, lock)
    note_rolled_out(registry, ledger, first)  # too late: it is not live any more
    assert not was_rolled_out(registry, ledger, MODEL)
    undo(registry, ledger, second, "3 of 20 answers differ", lock)
    assert was_rolled_out(registry, ledger, MODEL)


def test_a_deleted_version_is_no_previous_one(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first, second = version("one"), version("two")
    go_live(registry, ledger, first, lock)
    registry.forget(MODEL, 1)
    go_live(registry, ledger, second, lock)
    assert registry.aliases(MODEL) == {"champion": 2}


def test_a_first_artifact_has_no_rival(registry: FakeRegistry, ledger: Ledger, cache: Path) -> None:
    assert rival_of(registry, ledger, MODEL, "a" * 64, cache) is None


def test_the_rival_is_the_champion_with_its_files(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path, cache: Path
) -> None:
    first = version("one")
    go_live(registry, ledger, first, lock)
    rival = rival_of(registry, ledger, MODEL, "a" * 64, cache)
    assert rival is not None
    assert (rival.adapter_name, rival.artifact_digest, rival.folder, rival.fault) == (
        "routing-v1",
        first.artifact_digest,
        first.artifact,
        None,
    )


def test_the_rival_of_the_champion_itself_is_what_was_live_before(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path, cache: Path
) -> None:
    first, second = version("one"), version("two")
    for evidence in (first, second):
        go_live(registry, ledger, evidence, lock)
    rival = rival_of(registry, ledger, MODEL, second.artifact_digest, cache)
    assert rival is not None
    assert rival.adapter_name == first.adapter_name


def test_a_rival_that_cannot_be_fetched_says_why(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path, tmp_path: Path
) -> None:
    go_live(registry, ledger, version("one"), lock)
    registry.forget(MODEL, 1)
    rival = rival_of(registry, ledger, MODEL, "a" * 64, tmp_path / "empty")
    assert rival is not None
    assert (rival.folder, rival.fault) == (None, "the champion is no longer in the registry")


def test_a_rollback_leads_to_the_version_before_and_the_next_one_further_back(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    versions = {number: version(weights) for number, weights in enumerate(("one", "two", "three"), start=1)}
    for evidence in versions.values():
        go_live(registry, ledger, evidence, lock)

    target = rollback_target(registry, ledger, MODEL, None)
    entry = go_back(registry, ledger, versions[target.version], target, "a person", "v3 answers in French", lock)
    assert (entry.version, entry.policy, entry.actor, entry.reason) == (2, ROLLBACK, "a person", "v3 answers in French")
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}

    note_rolled_out(registry, ledger, versions[2])
    target = rollback_target(registry, ledger, MODEL, None)
    assert target.version == 1
    go_back(registry, ledger, versions[1], target, "a person", "v2 too", lock)
    assert registry.aliases(MODEL) == {"champion": 1}
    note_rolled_out(registry, ledger, versions[1])
    with pytest.raises(PromotionRefused, match="no version to go back to"):
        rollback_target(registry, ledger, MODEL, None)


def test_a_rollback_to_a_named_version_needs_one_that_was_live(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    first, second = version("one"), version("two")
    version("three")
    for evidence in (first, second):
        go_live(registry, ledger, evidence, lock)
    with pytest.raises(PromotionRefused, match="version 3 was never live"):
        rollback_target(registry, ledger, MODEL, 3)
    with pytest.raises(PromotionRefused, match="version 2 is live already"):
        rollback_target(registry, ledger, MODEL, 2)
    go_back(registry, ledger, first, rollback_target(registry, ledger, MODEL, 1), "a person", "why not", lock)
    go_back(registry, ledger, second, rollback_target(registry, ledger, MODEL, 2), "a person", "it was better", lock)
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


def test_other_bytes_than_those_that_were_live_are_not_gone_back_to(
    registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path
) -> None:
    first, second = version("one"), version("two")
    for evidence in (first, second):
        go_live(registry, ledger, evidence, lock)
    other = first.model_copy(update={"artifact_digest": "f" * 64})
    with pytest.raises(PromotionRefused, match="not the one that was live"):
        go_back(registry, ledger, other, rollback_target(registry, ledger, MODEL, 1), "a person", "why not", lock)
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}


def test_a_rollback_whose_roll_out_fails_is_undone(registry: FakeRegistry, ledger: Ledger, version: Version, lock: Path) -> None:
    first, second = version("one"), version("two")
    for evidence in (first, second):
        go_live(registry, ledger, evidence, lock)
    go_back(registry, ledger, first, rollback_target(registry, ledger, MODEL, None), "a person", "v2 is slow", lock)
    entry = undo(registry, ledger, first, "the server is down", lock)
    assert entry is not None
    assert entry.version == 2
    assert registry.aliases(MODEL) == {"champion": 2, "previous": 1}
