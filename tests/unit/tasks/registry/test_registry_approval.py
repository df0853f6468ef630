"""The approval policy: what is approved, and everything that is refused, with what to do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from tasks.ledger import GENESIS, REJECTION, ROLLBACK, UNDO, Entry
from tasks.registry.approval import Case, Given, Rules, decide

CREATED = datetime(2026, 11, 25, 12, tzinfo=UTC)
ARTIFACT, REPORT = "a" * 64, "b" * 64


def case(*entries: Entry, hours: float = 1.0, **changes: Any) -> Case:
    """Version 2 of a model, some hours after its registration."""
    requesters = changes.pop("requesters", ("rita",))
    rules = Rules.model_validate({"policy": "mlflow_review", "expires_hours": 168.0} | changes)
    return Case(
        rules=rules, model_name="routing", version=2, artifact_digest=ARTIFACT, gate_report_digest=REPORT, created=CREATED,
        now=CREATED + timedelta(hours=hours), requesters=requesters, entries=entries,
    )  # fmt: skip


def given(status: str = "approved", **changes: Any) -> Given:
    return Given.model_validate({"status": status, "reason": "", "actor": "somebody"} | changes)


def entry(seq: int, version: int | None, policy: str = "mlflow_review", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "seq": seq, "at": CREATED.isoformat(), "model_name": "routing", "version": version,
        "adapter_name": f"routing-v{version}" if version else None, "artifact_digest": ARTIFACT if version == 2 else "c" * 64,
        "gate_report_digest": REPORT if version == 2 else "d" * 64, "actor": "anna", "policy": policy, "reason": "good",
        "previous_hash": GENESIS, "hash": GENESIS,
    }  # fmt: skip
    return Entry.model_validate(values | changes)


def test_what_a_reviewer_approves_is_approved_with_name_and_reason() -> None:
    approval = decide(case(), given(reason="read the report", actor="anna (logged in to MLflow)"))
    assert (approval.state, approval.policy) == ("approved", "mlflow_review")
    assert (approval.actor, approval.reason) == ("anna (logged in to MLflow)", "read the report")


def test_policy_auto_approves_and_says_that_no_person_did() -> None:
    approval = decide(case(policy="auto", hours=999), None)
    assert (approval.state, approval.policy, approval.actor) == ("approved", "auto", "policy auto (no person)")


@pytest.mark.parametrize(("policy", "where"), [("mlflow_review", "approval_status"), ("prefect_input", "Prefect's page")])
def test_what_nobody_decided_on_waits_and_says_what_to_do_and_until_when(policy: str, where: str) -> None:
    approval = decide(case(policy=policy), None)
    assert approval.state == "awaiting"
    assert where in approval.reason
    assert "2026-12-02 12:00 UTC" in approval.reason


def test_a_rejection_is_heard_with_its_reason_even_when_an_approval_would_come_too_late() -> None:
    approval = decide(case(hours=999, require_authenticated_reviewer=True), given("rejected", reason="wrong data"))
    assert (approval.state, approval.reason) == ("rejected", "wrong data")


@pytest.mark.parametrize("status", ["Approved", "approved ", " approved", "APPROVED", "approve", "yes", "Rejected", "rejected\n"])
def test_anything_but_the_two_words_is_refused_and_says_what_to_type(status: str) -> None:
    approval = decide(case(), given(status))
    assert approval.state == "refused"
    assert repr(status) in approval.reason
    assert "type exactly approved or rejected" in approval.reason


@for_any(st.text())
def test_no_text_but_one_approves(status: str) -> None:
    assert (decide(case(), given(status)).state == "approved") is (status == "approved")


@pytest.mark.parametrize(("hours", "state"), [(167.99, "approved"), (168, "approved"), (168.01, "refused")])
def test_an_approval_counts_until_its_time_is_over(hours: float, state: str) -> None:
    approval = decide(case(hours=hours), given())
    assert approval.state == state
    assert ("ended at 2026-12-02 12:00 UTC" in approval.reason) is (state == "refused")


def test_what_nobody_decided_on_in_time_is_refused_and_not_kept_waiting() -> None:
    approval = decide(case(hours=200), None)
    assert (approval.state, "run the pipeline again" in approval.reason) == ("refused", True)


def test_an_approval_can_count_for_ever() -> None:
    assert decide(case(expires_hours=None, hours=1e6), given()).state == "approved"


@pytest.mark.parametrize("changed", [{"artifact_digest": "0" * 64}, {"gate_report_digest": "0" * 64}])
def test_an_approval_of_other_bytes_is_refused(changed: dict[str, str]) -> None:
    approval = decide(case(), given(**{"artifact_digest": ARTIFACT, "gate_report_digest": REPORT} | changed))
    assert approval.state == "refused"
    assert "000000000000 is now" in approval.reason
    assert "set it again" in approval.reason
    assert decide(case(), given(artifact_digest=ARTIFACT, gate_report_digest=REPORT)).state == "approved"


@pytest.mark.parametrize("rules", [{"require_authenticated_reviewer": True}, {"requester_may_approve": False}])
def test_a_policy_that_needs_a_name_refuses_an_approval_without_one(rules: dict[str, bool]) -> None:
    approval = decide(case(**rules), given())
    assert (approval.state, "nobody was logged in" in approval.reason) == ("refused", True)
    assert decide(case(**rules), given(user="anna")).state == "approved"


@pytest.mark.parametrize(("requester", "user"), [("rita", "rita"), ("rita", "Rita"), ("Rita", "rita")])
def test_the_requester_may_not_approve_where_the_policy_forbids_it(requester: str, user: str) -> None:
    approval = decide(case(requester_may_approve=False, requesters=("somebody", requester)), given(user=user))
    assert (approval.state, f"{user} requested this version" in approval.reason) == ("refused", True)
    assert decide(case(), given(user=user)).state == "approved"


def test_nobody_may_approve_what_nobody_is_known_to_have_requested() -> None:
    approval = decide(case(requester_may_approve=False, requesters=()), given(user="anna"))
    assert (approval.state, "nobody knows who requested" in approval.reason) == ("refused", True)


@pytest.mark.parametrize("later", [entry(2, 1, ROLLBACK), entry(2, None, UNDO), entry(2, 3)], ids=["rolled back", "undone", "replaced"])
def test_a_second_approval_is_refused_and_points_to_a_rollback(later: Entry) -> None:
    approval = decide(case(entry(1, 2), later), given())
    assert approval.state == "refused"
    assert "ledger entry 1 on 2026-11-25 12:00 UTC" in approval.reason
    assert "tunegate rollback routing-v2" in approval.reason


def test_an_approval_of_another_version_of_the_same_model_uses_nothing_up() -> None:
    assert decide(case(entry(1, 1), entry(2, 3)), given()).state == "approved"


def test_what_was_live_under_the_same_number_with_other_bytes_uses_nothing_up() -> None:
    assert decide(case(entry(1, 2, artifact_digest="0" * 64), entry(2, 1)), given()).state == "approved"


def test_a_live_version_stays_approved_by_whoever_approved_it() -> None:
    remark = entry(2, 2, REJECTION, concerns="routing-v1", actor="otto")
    approval = decide(case(entry(1, 2), remark), given(actor="otto", reason="once more"))
    assert (approval.state, approval.actor, approval.reason) == ("approved", "anna", "good")


def test_a_live_version_cannot_be_rejected_and_is_told_how_to_go_back() -> None:
    approval = decide(case(entry(1, 2)), given("rejected"))
    assert (approval.state, "tunegate rollback" in approval.reason) == ("refused", True)


def test_a_reviewer_may_come_round() -> None:
    rejected = entry(1, None, REJECTION, concerns="routing-v2")
    assert decide(case(rejected), given()).state == "approved"
