"""A reviewer's tags, from the version's page to the ledger."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.errors import LedgerError, PromotionRefused
from pipeline_config.registry import RegistryConfig
from tasks.ledger import RECONCILE, REJECTION, Ledger
from tasks.registry.approval import APPROVED, Approval, Given
from tasks.registry.port import (
    APPROVED_BY_TAG,
    EVIDENCE_FOLDER,
    GATE_REPORT,
    LEDGER_HEAD_TAG,
    MODEL_FOLDER,
    NOTE_TAG,
    REQUESTED_BY_TAG,
    REQUESTER_TAG,
    STATUS_REASON_TAG,
    STATUS_TAG,
)
from tasks.registry.promote import decided, promote, rollback_target
from tasks.registry.reviewing import approval_tags, ask, in_one_line, is_overdue, last_about, note, reject, waiting, weigh
from tasks.registry.stamps import REGISTERED, Stamp, signed
from tasks.registry.verdict import Evidence, verified_evidence
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate, make_config

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = START + timedelta(hours=1)
KEY = "key"
Add = Callable[..., Evidence]


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry", clock=lambda: START)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def add(registry: FakeRegistry, tmp_path: Path) -> Add:
    """Registers a version under a policy, as the pipeline does, and verifies it."""

    def make(weights: str = "weights", requester: str | None = "rita", **rules: Any) -> Evidence:
        config = make_config(registry={"model_name": MODEL, "approval": "mlflow_review", **rules})
        tags = approval_tags(config.registry, requester)
        version = Candidate(tmp_path / weights, weights=weights, config=config, tags=tags).register(registry, weights)
        return verified_evidence(registry, MODEL, version, tmp_path / "versions")

    return make


def type_in(registry: FakeRegistry, evidence: Evidence, status: str, reason: str = "") -> None:
    registry.set_tag(MODEL, evidence.version, STATUS_TAG, status)
    registry.set_tag(MODEL, evidence.version, STATUS_REASON_TAG, reason)


def stamp_in(registry: FakeRegistry, evidence: Evidence, user: str, did: str, tag: str = APPROVED_BY_TAG) -> None:
    stamp = Stamp(user=user, did=did, at=START.isoformat(), model_name=MODEL, version=evidence.version)
    registry.set_tag(MODEL, evidence.version, tag, signed(stamp, KEY))


def test_what_stands_in_the_tags_is_decided_on(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add()
    assert ask(registry, ledger, evidence, LATER, KEY).state == "awaiting"
    type_in(registry, evidence, "approved", "read the report")
    approval = ask(registry, ledger, evidence, LATER, KEY)
    assert (approval.state, approval.actor, approval.reason) == ("approved", "unauthenticated (MLflow tag)", "read the report")


def test_a_deleted_version_is_refused(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add()
    type_in(registry, evidence, "approved")
    registry.forget(MODEL, evidence.version)
    with pytest.raises(PromotionRefused, match="gone"):
        ask(registry, ledger, evidence, LATER, KEY)


@pytest.mark.parametrize("damage", ["UPDATE entries SET actor = 'somebody else' WHERE seq = 1", "DELETE FROM entries WHERE seq = 1"])
def test_a_ledger_with_a_tampered_row_is_refused(registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path, damage: str) -> None:
    for weights in ("one", "two"):
        promote(registry, ledger, add(weights), _approval(), decided(ledger, MODEL), tmp_path / "lock")
    evidence = add("three")
    type_in(registry, evidence, "approved")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("DROP TRIGGER entries_never_go")
        connection.execute(damage)
    with pytest.raises(LedgerError, match="entry 1"):
        ask(registry, ledger, evidence, LATER, KEY)


def test_an_approval_after_its_time_is_refused(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add(approval_expires_hours=1)
    type_in(registry, evidence, "approved")
    assert ask(registry, ledger, evidence, LATER, KEY).state == "approved"
    assert ask(registry, ledger, evidence, LATER + timedelta(seconds=1), KEY).state == "refused"


def test_an_approval_of_one_version_says_nothing_of_another(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    one, two = add("one"), add("two")
    type_in(registry, one, "approved")
    assert ask(registry, ledger, two, LATER, KEY).state == "awaiting"


def test_a_stamp_of_one_version_counts_for_no_other(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    one, two = (add(weights, require_authenticated_reviewer=True) for weights in ("one", "two"))
    stamp_in(registry, one, "anna", APPROVED)
    registry.set_tag(MODEL, two.version, APPROVED_BY_TAG, (registry.tags(MODEL, one.version) or {})[APPROVED_BY_TAG])
    for evidence, state in ((one, "approved"), (two, "refused")):
        type_in(registry, evidence, "approved")
        assert ask(registry, ledger, evidence, LATER, KEY).state == state


def test_a_stamp_counts_for_the_word_that_it_was_given_for(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add(require_authenticated_reviewer=True)
    stamp_in(registry, evidence, "anna", "rejected")
    type_in(registry, evidence, "approved")
    assert ask(registry, ledger, evidence, LATER, KEY).state == "refused"
    stamp_in(registry, evidence, "anna", "approved")
    approval = ask(registry, ledger, evidence, LATER, KEY)
    assert (approval.state, approval.actor) == ("approved", "anna (logged in to MLflow)")


@pytest.mark.parametrize("tag", ["as the run says", "as the server saw"])
def test_the_requester_may_not_approve(registry: FakeRegistry, ledger: Ledger, add: Add, tag: str) -> None:
    evidence = add(requester_may_approve=False, requester="rita" if tag == "as the run says" else "service")
    if tag == "as the server saw":
        stamp_in(registry, evidence, "rita", REGISTERED, REQUESTED_BY_TAG)
    for user, state in (("rita", "refused"), ("anna", "approved")):
        stamp_in(registry, evidence, user, "approved")
        type_in(registry, evidence, "approved")
        assert ask(registry, ledger, evidence, LATER, KEY).state == state


@pytest.mark.parametrize("part", [f"{MODEL_FOLDER}/adapter_model.safetensors", f"{EVIDENCE_FOLDER}/{GATE_REPORT}"])
def test_an_approval_is_void_after_a_changed_byte(registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path, part: str) -> None:
    evidence = add()
    type_in(registry, evidence, "approved")
    changed = registry.files(MODEL, evidence.version) / part
    changed.write_bytes(changed.read_bytes().replace(b"e", b"3", 1))
    with pytest.raises(PromotionRefused, match=r"do not match the manifest|not the one that it was registered with"):
        verified_evidence(registry, MODEL, evidence.version, tmp_path / "another machine")


def test_an_approval_of_a_version_without_its_report_is_refused(registry: FakeRegistry, add: Add, tmp_path: Path) -> None:
    evidence = add()
    type_in(registry, evidence, "approved")
    (registry.files(MODEL, evidence.version) / EVIDENCE_FOLDER / GATE_REPORT).unlink()
    with pytest.raises(PromotionRefused, match="no gate report"):
        verified_evidence(registry, MODEL, evidence.version, tmp_path / "another machine")


def test_a_rejection_is_recorded_once_and_changes_nothing_about_what_is_live(
    registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path
) -> None:
    live, evidence = add("one"), add("two")
    promote(registry, ledger, live, _approval(), 0, tmp_path / "lock")
    before = ledger.live(MODEL)
    type_in(registry, evidence, "rejected", "wrong data")
    entries = [reject(registry, ledger, evidence, ask(registry, ledger, evidence, LATER, KEY), tmp_path / "lock") for _ in range(2)]
    assert entries[0] == entries[1] == ledger.entries()[-1]
    assert len(ledger.entries()) == 2
    assert (entries[0].policy, entries[0].concerns, entries[0].version) == (REJECTION, "routing-v2", 1)
    assert "wrong data" in entries[0].reason
    assert evidence.artifact_digest[:12] in entries[0].reason
    assert ledger.live(MODEL) == before
    assert (registry.tags(MODEL, evidence.version) or {})[LEDGER_HEAD_TAG] == entries[0].hash
    ledger.verify()
    with pytest.raises(PromotionRefused, match="never live"):
        rollback_target(registry, ledger, MODEL, evidence.version)


def test_a_rejection_of_a_models_first_version_leaves_nothing_live(
    registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path
) -> None:
    reject(registry, ledger, add(), _approval(state="rejected"), tmp_path / "lock")
    assert ledger.live(MODEL) is None


def test_what_waits_is_what_a_person_could_still_decide_on(registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path) -> None:
    def found() -> list[int]:
        return [one.listed.version for one in waiting(registry, ledger.entries(), LATER)]

    one, two = add("one"), add("two", approval="prefect_input")
    add("auto", approval="auto")
    add("short", approval_expires_hours=0.5)
    ever = add("ever", approval_expires_hours=None)
    assert found() == [ever.version, two.version, one.version]
    promote(registry, ledger, one, _approval(), 0, tmp_path / "lock")
    reject(registry, ledger, two, _approval(state="rejected"), tmp_path / "lock")
    ledger.remark(
        model_name=MODEL, policy=RECONCILE, actor="reconcile", reason="champion named it", concerns=ever.adapter_name, expected_head=2
    )
    assert found() == [ever.version]
    last = last_about(ledger.entries(), two.adapter_name)
    assert last is not None
    assert last.policy == REJECTION


def test_what_is_typed_into_a_form_is_weighed_as_a_tag_is(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add(approval="prefect_input", approval_expires_hours=2)
    given = Given(status="approved", reason="good", actor="anna (typed)", artifact_digest=evidence.artifact_digest)
    assert weigh(registry, ledger, evidence, given, LATER).state == "approved"
    assert weigh(registry, ledger, evidence, given, LATER + timedelta(hours=2)).state == "refused"
    assert weigh(registry, ledger, evidence, given.model_copy(update={"artifact_digest": "0" * 64}), LATER).state == "refused"


def test_a_tag_says_nothing_where_the_form_decides(registry: FakeRegistry, ledger: Ledger, add: Add) -> None:
    evidence = add(approval="prefect_input")
    type_in(registry, evidence, "approved")
    assert ask(registry, ledger, evidence, LATER, KEY).state == "awaiting"


def test_a_version_that_nobody_decided_on_in_time_is_overdue(registry: FakeRegistry, ledger: Ledger, add: Add, tmp_path: Path) -> None:
    evidence = add()
    config = RegistryConfig(model_name=MODEL, approval_expires_hours=1)

    def overdue(moment: datetime) -> bool:
        return is_overdue(registry, ledger, MODEL, evidence.version, config, moment)

    assert [overdue(LATER), overdue(LATER + timedelta(seconds=1))] == [False, True]
    assert not is_overdue(registry, ledger, MODEL, 99, config, LATER + timedelta(days=1))
    reject(registry, ledger, evidence, _approval(state="rejected"), tmp_path / "lock")
    assert not overdue(LATER + timedelta(days=1))


def test_a_note_has_the_time_and_a_version_that_is_gone_gets_none(registry: FakeRegistry, add: Add) -> None:
    evidence = add()
    error = PromotionRefused("it\n  is odd", expected="less", hint="look")
    note(registry, MODEL, evidence.version, in_one_line(error), START)
    assert (registry.tags(MODEL, evidence.version) or {})[NOTE_TAG] == "2026-11-25 12:00 UTC: it is odd; expected less; look"
    registry.forget(MODEL, evidence.version)
    note(registry, MODEL, evidence.version, "text", START)


def test_a_requester_whom_nobody_knows_leaves_no_tag() -> None:
    assert REQUESTER_TAG not in approval_tags(RegistryConfig(), None)


@pytest.mark.parametrize("approval", ["auto", "prefect_input"])
@pytest.mark.parametrize("rule", [{"requester_may_approve": False}, {"require_authenticated_reviewer": True}])
def test_a_policy_that_knows_no_names_cannot_be_told_to_need_one(approval: str, rule: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="only `mlflow_review` knows who decided"):
        RegistryConfig.model_validate({"approval": approval, **rule})
    RegistryConfig.model_validate({"approval": "mlflow_review", **rule})


def _approval(state: str = "approved") -> Approval:
    return Approval.model_validate({"state": state, "policy": "mlflow_review", "actor": "anna", "reason": "a reason"})
