"""Whether a version may go live by its approval policy: decided from what is known, without asking anybody or looking anything up.

A decision is bound to the version, to its artifact's and its gate report's digest and to a time, and is used up by the ledger entry that it
leads to. Whatever is refused says what was wrong and what to do.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pipeline_config.registry import Policy
from tasks.artifacts import Record
from tasks.ledger import REMARKS, Entry
from tasks.registry.port import STATUS_TAG, adapter_name

APPROVED, REJECTED = "approved", "rejected"
"""The two values that a reviewer may set tag `approval_status` to, letter by letter."""

PROMOTIONS = ("auto", "mlflow_review", "prefect_input")
"""Policies of ledger entries that made a version live by an approval."""

_TYPE_EXACTLY = f"type exactly {APPROVED} or {REJECTED}"
_AGAIN = f"delete tag {STATUS_TAG} and set it again"


class Rules(Record):
    """What the version's own configuration says of its approval; see `pipeline_config.registry.RegistryConfig`."""

    policy: Policy
    expires_hours: float | None = None
    requester_may_approve: bool = True
    require_authenticated_reviewer: bool = False

    @property
    def needs_a_name(self) -> bool:
        """Whether an approval counts only if it is proven who gave it."""
        return self.require_authenticated_reviewer or not self.requester_may_approve


class Given(Record):
    """What a person decided.

    `status` is what was typed. `actor` says for the ledger who it was, and how that is known. `user` is a name that a login proves, null
    where none does. The digests are those that the version had when it was decided on, null where nobody noted them.
    """

    status: str
    reason: str
    actor: str
    user: str | None = None
    artifact_digest: str | None = None
    gate_report_digest: str | None = None


class Approval(Record):
    """What the version's approval policy says about it now. With `awaiting` and `refused`, `reason` says what to do."""

    state: Literal["approved", "awaiting", "rejected", "refused"]
    policy: Policy
    actor: str
    reason: str


class Case(Record):
    """All that decides about a version.

    Args:
        artifact_digest, gate_report_digest: of the version's bytes as they are now.
        created: when it was registered, with a time zone; `now` likewise.
        requesters: everybody known to have asked for the version.
        entries: the ledger, oldest first.
    """

    rules: Rules
    model_name: str
    version: int
    artifact_digest: str
    gate_report_digest: str
    created: datetime
    now: datetime
    requesters: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


def decide(case: Case, given: Given | None) -> Approval:
    """Applies the policy.

    Args:
        given: what a person decided; null if nobody has yet.
    """
    nobody = "nobody"
    if (entry := _live_entry(case)) is not None:
        # Asked again after the ledger was written, as after a crash before the roll-out: the decision stands, and is not taken once more.
        if given is not None and given.status == REJECTED:
            return _answer(case, "refused", given.actor, f"it is live (ledger entry {entry.seq}); {_rollback_hint(None)} takes it down")
        return _answer(case, "approved", entry.actor, entry.reason)
    if case.rules.policy == "auto":
        return _answer(case, "approved", "policy auto (no person)", "every gate passed; nobody was asked")
    if (entry := promotion_of(case.entries, case)) is not None:
        return _answer(case, "refused", given.actor if given else nobody, used_up(entry))
    if given is not None and (fault := mistyped(given.status)):
        return _answer(case, "refused", given.actor, fault)
    if given is not None and given.status == REJECTED:  # a no is always heard, whoever says it and whenever
        return _answer(case, "rejected", given.actor, given.reason or "no reason given")
    if fault := _too_late(case):
        return _answer(case, "refused", given.actor if given else nobody, fault)
    if given is None:
        return _answer(case, "awaiting", nobody, what_to_do(case.rules.policy, expiry(case.created, case.rules.expires_hours)))
    if fault := _changed_since(case, given) or _wrong_person(case, given):
        return _answer(case, "refused", given.actor, fault)
    return _answer(case, "approved", given.actor, given.reason or "no reason given")


def expiry(created: datetime, hours: float | None) -> datetime | None:
    """Until when an approval counts; null if for ever."""
    return None if hours is None else created + timedelta(hours=hours)


def what_to_do(policy: Policy, until: datetime | None) -> str:
    """What somebody who is to decide has to do, and until when."""
    where = "fill in the form of the promotion run in Prefect's page"
    if policy == "mlflow_review":
        where = f"set tag {STATUS_TAG} to exactly {APPROVED} or {REJECTED} on the version's page; tag approval_reason says why"
    return f"it awaits a decision{'' if until is None else f' until {_minute(until)}'}: {where}"


def used_up(entry: Entry) -> str:
    """Why an approval that led to a ledger entry opens nothing any more."""
    when = _minute(datetime.fromisoformat(entry.at))
    return f"it was made live by ledger entry {entry.seq} on {when}, which used its approval up; {_rollback_hint(entry)}"


def promotion_of(entries: Sequence[Entry], case: Case) -> Entry | None:
    """The entry by which exactly this version was made live by an approval, whether or not it is live now."""
    wanted = (case.model_name, case.version, case.artifact_digest, case.gate_report_digest)
    return next((e for e in entries if e.policy in PROMOTIONS and _identity(e) == wanted), None)


def mistyped(status: str) -> str | None:
    """Why a tag's value says nothing; null if it says something."""
    return None if status in (APPROVED, REJECTED) else f"{STATUS_TAG} is {status!r}: {_TYPE_EXACTLY}"


def _live_entry(case: Case) -> Entry | None:
    decisions = (entry for entry in reversed(case.entries) if entry.policy not in REMARKS)
    last = next((entry for entry in decisions if entry.model_name == case.model_name), None)
    wanted = (case.model_name, case.version, case.artifact_digest, case.gate_report_digest)
    return last if last is not None and _identity(last) == wanted else None


def _identity(entry: Entry) -> tuple[str, int | None, str | None, str | None]:
    return entry.model_name, entry.version, entry.artifact_digest, entry.gate_report_digest


def _too_late(case: Case) -> str | None:
    until = expiry(case.created, case.rules.expires_hours)
    if until is None or case.now <= until:
        return None
    return f"the time to approve it ended at {_minute(until)}; run the pipeline again, which registers it anew"


def _changed_since(case: Case, given: Given) -> str | None:
    """A decision is on the bytes that the reviewer could see."""
    noted = {"artifact": (given.artifact_digest, case.artifact_digest), "gate report": (given.gate_report_digest, case.gate_report_digest)}
    changed = [f"{what} {then[:12]} is now {now[:12]}" for what, (then, now) in noted.items() if then is not None and then != now]
    return f"what was approved has changed since ({' and '.join(changed)}); look at it again, then {_AGAIN}" if changed else None


def _wrong_person(case: Case, given: Given) -> str | None:
    if not case.rules.needs_a_name:
        return None
    if given.user is None:
        login = "log in to MLflow (basic-auth with tunegate's app)"
        return f"the policy needs to know who approves, and nobody was logged in; {login}, then {_AGAIN}"
    if case.rules.requester_may_approve:
        return None
    if not case.requesters:
        return "the policy forbids that the requester approves, and nobody knows who requested this version; run the pipeline again"
    if given.user.casefold() in {name.casefold() for name in case.requesters}:
        return f"{given.user} requested this version and may not approve it; somebody else has to {_AGAIN}"
    return None


def _rollback_hint(entry: Entry | None) -> str:
    version = f" {adapter_name(entry.model_name, entry.version)}" if entry is not None and entry.version is not None else ""
    return f'`tunegate rollback{version} --why "..."`{" makes it live again" if version else ""}'


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _answer(case: Case, state: Literal["approved", "awaiting", "rejected", "refused"], actor: str, reason: str) -> Approval:
    return Approval(state=state, policy=case.rules.policy, actor=actor, reason=reason)
