"""What a reviewer finds on a version's page and what is made of it: the question, the answer, the list of what waits."""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline_config.errors import PromotionRefused, RegistryError, TunegateError
from pipeline_config.registry import Policy, RegistryConfig
from tasks.artifacts import Record
from tasks.files import exclusive
from tasks.ledger import REJECTION, Entry, Ledger
from tasks.registry.aliases import check_tail, mirror
from tasks.registry.approval import PROMOTIONS, Approval, Case, Given, decide, expiry
from tasks.registry.port import (
    APPROVED_BY_TAG,
    ARTIFACT_TAG,
    DECISION_TAG,
    EXPIRES_TAG,
    GATE_REPORT_TAG,
    NOTE_TAG,
    POLICY_TAG,
    REQUESTED_BY_TAG,
    REQUESTER_TAG,
    STATUS_REASON_TAG,
    STATUS_TAG,
    VERDICT_TAG,
    Listed,
    Registry,
)
from tasks.registry.stamps import read_stamp
from tasks.registry.verdict import Evidence

_log = logging.getLogger(__name__)
_POLICY: TypeAdapter[Policy] = TypeAdapter(Policy)
_HOURS: TypeAdapter[float | None] = TypeAdapter(float | None)


class Sighting(Record):
    """A reviewer's decision as it was first seen, in tag `tunegate.decision`.

    MLflow does not say when a tag was set, so decisions are told apart by what was seen: `number` counts them, from one. `at` is the
    server's stamp, where there is one. The digests are those of the version's tags at that time. `status` is empty for a decision that was
    taken away. `done` says what followed; null until something has.
    """

    number: int
    status: str
    at: str = ""
    artifact_digest: str | None = None
    gate_report_digest: str | None = None
    done: str | None = None


class Waiting(Record):
    """A passed version that nobody has decided on yet. `until` is null if it waits for ever."""

    listed: Listed
    policy: Policy
    until: datetime | None


def approval_tags(config: RegistryConfig, requester: str | None) -> dict[str, str]:
    """What a new version says of its approval; nothing of a requester whom nobody knows."""
    hours = config.approval_expires_hours
    tags = {POLICY_TAG: config.approval, EXPIRES_TAG: "null" if hours is None else f"{hours:g}"}
    return {**tags, REQUESTER_TAG: requester} if requester else tags


def ask(registry: Registry, ledger: Ledger, evidence: Evidence, now: datetime, key: str | None) -> Approval:
    """What the version's policy says now, with what stands in its tags.

    Args:
        evidence: of the version, verified just now.
        now: with a time zone.
        key: what the server signs its stamps with; null: no stamp is believed.

    Raises:
        PromotionRefused: the version is gone.
        LedgerError: the ledger was tampered with.
        RegistryError: the registry does not answer.
    """
    listed = _present(registry, evidence)
    given = given_in_tags(listed, key) if evidence.rules.policy == "mlflow_review" else None
    return decide(_case(ledger, evidence, listed, now, key), given)


def weigh(registry: Registry, ledger: Ledger, evidence: Evidence, given: Given, now: datetime) -> Approval:
    """As :func:`ask`, for a decision that was not given in tags."""
    return decide(_case(ledger, evidence, _present(registry, evidence), now, None), given)


def given_in_tags(listed: Listed, key: str | None) -> Given | None:
    """What a reviewer set on the version's page; null if nothing is set.

    The stamp counts only for the word that stands in the tag now. Where there is none, the digests are those that the watcher noted.
    """
    status = listed.tags.get(STATUS_TAG, "")
    if not status:
        return None
    stamp = read_stamp(listed.tags.get(APPROVED_BY_TAG), key, listed.model_name, listed.version)
    seen = sighting_in(listed)
    reason = listed.tags.get(STATUS_REASON_TAG, "")
    if stamp is not None and stamp.did == status:
        return Given(
            status=status, reason=reason, actor=f"{stamp.user} (logged in to MLflow)", user=stamp.user,
            artifact_digest=stamp.artifact_digest, gate_report_digest=stamp.gate_report_digest,
        )  # fmt: skip
    bound = seen if seen is not None and seen.status == status else None
    return Given(
        status=status, reason=reason, actor="unauthenticated (MLflow tag)",
        artifact_digest=bound.artifact_digest if bound else None, gate_report_digest=bound.gate_report_digest if bound else None,
    )  # fmt: skip


def sighting_in(listed: Listed) -> Sighting | None:
    """The decision that was seen last; null if none was."""
    try:
        return Sighting.model_validate_json(listed.tags.get(DECISION_TAG, ""))
    except ValidationError:
        return None


def reject(registry: Registry, ledger: Ledger, evidence: Evidence, approval: Approval, lock: Path) -> Entry:
    """Records that a version was rejected, and signs the version with that entry. What is live stays.

    The same rejection is recorded once, so that it can be asked for again after a crash.

    Raises:
        LedgerError: somebody else wrote to the ledger meanwhile, or it was tampered with.
        RegistryError: the registry does not answer.
    """
    reason = f"{approval.reason} (artifact {evidence.artifact_digest[:12]}, gate report {evidence.gate_report_digest[:12]})"
    with exclusive(lock):
        check_tail(registry, ledger, evidence.model_name)
        entries = ledger.entries()
        entry = last_about(entries, evidence.adapter_name)
        if entry is None or (entry.policy, entry.actor, entry.reason) != (REJECTION, approval.actor, reason):
            entry = ledger.remark(
                model_name=evidence.model_name, policy=REJECTION, actor=approval.actor, reason=reason, concerns=evidence.adapter_name,
                expected_head=entries[-1].seq if entries else 0,
            )  # fmt: skip
        mirror(registry, ledger, evidence.model_name)
    return entry


def last_about(entries: Sequence[Entry], adapter_name: str) -> Entry | None:
    """The last decision on a version: the one that made it live, or one that rejected it."""
    about = {REJECTION: "concerns", **dict.fromkeys(PROMOTIONS, "adapter_name")}
    return next((e for e in reversed(entries) if e.policy in about and getattr(e, about[e.policy]) == adapter_name), None)


def note(registry: Registry, model_name: str, version: int, text: str, now: datetime) -> None:
    """Answers on the version's page. A version that is gone has no page, and a registry that is silent gets no answer: both are logged."""
    try:
        registry.set_tag(model_name, version, NOTE_TAG, f"{now:%Y-%m-%d %H:%M} UTC: {text}")
    except RegistryError as error:
        _log.warning("no note on version %d of %s: %s", version, model_name, error.what)


def in_one_line(error: TunegateError) -> str:
    """An error as a note has it."""
    parts = [error.what, f"expected {error.expected}" if error.expected else "", error.hint]
    return "; ".join(" ".join(part.split()) for part in parts if part)


def waiting(registry: Registry, entries: Sequence[Entry], now: datetime, model_name: str | None = None) -> list[Waiting]:
    """Passed versions that a person could still decide on, newest first."""
    found = []
    for listed in registry.tagged(POLICY_TAG):
        policy, until = _policy_of(listed), expiry(listed.created, _hours_of(listed))
        if model_name not in (None, listed.model_name) or listed.tags.get(VERDICT_TAG) != "pass":
            continue
        if policy in (None, "auto") or (until is not None and now > until) or last_about(entries, listed.adapter_name) is not None:
            continue
        found.append(Waiting(listed=listed, policy=policy, until=until))
    return found


def point_challenger(registry: Registry, ledger: Ledger, model_name: str, now: datetime) -> int | None:
    """Makes alias `challenger` name the newest version that waits, or nothing; returns the version."""
    newest = next((found.listed.version for found in waiting(registry, ledger.entries(), now, model_name)), None)
    present = registry.aliases(model_name).get("challenger")
    if newest is None and present is not None:
        registry.delete_alias(model_name, "challenger")
    elif newest is not None and newest != present:
        registry.set_alias(model_name, "challenger", newest)
    return newest


def is_overdue(registry: Registry, ledger: Ledger, model_name: str, version: int, config: RegistryConfig, now: datetime) -> bool:
    """Whether the time to decide on a version is over and nobody has: the same artifact then deserves a version and a time of its own."""
    listed = registry.look(model_name, version)
    if listed is None or config.approval == "auto":
        return False
    until = expiry(listed.created, config.approval_expires_hours)
    return until is not None and now > until and last_about(ledger.entries(), listed.adapter_name) is None


def _case(ledger: Ledger, evidence: Evidence, listed: Listed, now: datetime, key: str | None) -> Case:
    ledger.verify()  # a decision is taken on the whole record or not at all
    registered = read_stamp(listed.tags.get(REQUESTED_BY_TAG), key, listed.model_name, listed.version)
    known = (registered.user if registered else None, listed.tags.get(REQUESTER_TAG))
    return Case(
        rules=evidence.rules, model_name=evidence.model_name, version=evidence.version,
        artifact_digest=evidence.artifact_digest, gate_report_digest=evidence.gate_report_digest,
        created=listed.created, now=now, requesters=tuple(name for name in known if name), entries=tuple(ledger.entries()),
    )  # fmt: skip


def _present(registry: Registry, evidence: Evidence) -> Listed:
    listed = registry.look(evidence.model_name, evidence.version)
    if listed is None:
        raise PromotionRefused("the version is gone", where=evidence.adapter_name, expected="a registered version")
    return listed


def _policy_of(listed: Listed) -> Policy | None:
    try:
        return _POLICY.validate_python(listed.tags.get(POLICY_TAG))
    except ValidationError:
        return None


def _hours_of(listed: Listed) -> float | None:
    try:
        return _HOURS.validate_json(listed.tags.get(EXPIRES_TAG, ""))
    except ValidationError:
        return RegistryConfig().approval_expires_hours  # as for a version that does not say


def digests_in(listed: Listed) -> dict[str, str | None]:
    """The digests that a version's tags name."""
    return {"artifact_digest": listed.tags.get(ARTIFACT_TAG), "gate_report_digest": listed.tags.get(GATE_REPORT_TAG)}
