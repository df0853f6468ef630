"""Makes a version the live one: first in the ledger, then in the registry's aliases, which mirror it.

Each of these can end at any moment and be started again. What the ledger says by then holds; `tasks.registry.reconcile` does the rest.
"""

from pathlib import Path

from pipeline_config.errors import LedgerError, PromotionRefused
from tasks.artifacts import Record
from tasks.files import exclusive
from tasks.ledger import REMARKS, ROLLBACK, UNDO, Entry, Ledger, standing, standing_if_undone
from tasks.registry.aliases import check_tail, mirror, version_before
from tasks.registry.approval import Approval
from tasks.registry.port import ROLLED_OUT_TAG, Registry
from tasks.registry.verdict import Evidence


def decided(ledger: Ledger, model_name: str) -> int:
    """What a promotion has to have seen before it begins: `seq` of the last decision on a model, 0 if there is none."""
    live = ledger.live(model_name)
    return live.seq if live is not None else 0


def promote(registry: Registry, ledger: Ledger, evidence: Evidence, approval: Approval, seen: int, lock: Path) -> Entry:
    """Records a version as live and moves the aliases. A version that is live already gets no second entry.

    Args:
        seen: of :func:`decided`, when the promotion began.
        lock: file that keeps other promotions on this machine waiting.

    Raises:
        PromotionRefused: it is not approved.
        LedgerError: somebody else has decided on this model since, or the ledger was tampered with.
        RegistryError: the aliases do not say afterwards what the ledger says.
    """
    if approval.state != "approved":
        raise PromotionRefused(f"it is not approved: {approval.reason}", where=evidence.adapter_name, expected="an approval")
    return _make_live(registry, ledger, evidence, seen, lock, actor=approval.actor, policy=approval.policy, reason=approval.reason)


def undo(registry: Registry, ledger: Ledger, evidence: Evidence, reason: str, lock: Path) -> Entry | None:
    """Takes the promotion of a version back: what was live before it is live again, or nothing.

    Returns:
        The new entry; null if this version is not live any more, and so nothing was to be undone.
    """
    with exclusive(lock):
        check_tail(registry, ledger, evidence.model_name)
        head, live = ledger.head(), ledger.live(evidence.model_name)
        if head is None or live is None or not is_live(live, evidence):
            return None
        before = standing_if_undone(ledger.entries(), evidence.model_name)
        last = before[-1] if before else None
        entry = ledger.append(
            model_name=evidence.model_name,
            version=last.version if last else None,
            adapter_name=last.adapter_name if last else None,
            artifact_digest=last.artifact_digest if last else None,
            gate_report_digest=last.gate_report_digest if last else None,
            actor="rollout (no person)",
            policy=UNDO,
            reason=reason,
            expected_head=head.seq,
            concerns=evidence.adapter_name,
        )
        mirror(registry, ledger, evidence.model_name)
    return entry


class Target(Record):
    """A version to go back to.

    Attributes:
        decision: the last one that made it live.
        seen: what was decided when it was chosen, as of :func:`decided`.
    """

    version: int
    decision: Entry
    seen: int


def rollback_target(registry: Registry, ledger: Ledger, model_name: str, version: int | None) -> Target:
    """Where a rollback leads: to a version that is asked for, or else to the one that was live before this one.

    A rollback that was interrupted before the server was proven to serve its version is finished first: asked once more for the same, it
    leads to the same version, and not one further back.

    Raises:
        PromotionRefused: nothing was live before, the version never was, or it is live now.
        RegistryError: the registry does not answer.
    """
    entries = ledger.entries()
    decisions = standing(entries, model_name)
    current = decisions[-1] if decisions else None
    seen = max((entry.seq for entry in entries if entry.model_name == model_name and entry.policy not in REMARKS), default=0)
    if current is not None and current.version is not None and current.policy == ROLLBACK:
        same = version in (None, current.version)
        if same and not was_rolled_out(registry, ledger, model_name):
            return Target(version=current.version, decision=current, seen=seen)
    wanted = version if version is not None else version_before(decisions)
    if wanted is None:
        raise PromotionRefused("there is no version to go back to", where=model_name, expected="a version that was live before this one")
    if current is not None and wanted == current.version:
        raise PromotionRefused(f"version {wanted} is live already", where=model_name, expected="another version")
    found = [entry for entry in entries if (entry.model_name, entry.version) == (model_name, wanted)]
    if not found:
        raise PromotionRefused(
            f"version {wanted} was never live", where=model_name, expected="a version that the ledger names",
            hint="`tunegate ledger` lists them; a new version goes through the `promotion` deployment",
        )  # fmt: skip
    return Target(version=wanted, decision=found[-1], seen=seen)


def go_back(registry: Registry, ledger: Ledger, evidence: Evidence, target: Target, actor: str, why: str, lock: Path) -> Entry:
    """Records that a version which was live before is live again, and moves the aliases.

    Args:
        evidence: of the version, verified again just now.
        target: of :func:`rollback_target`; the version's bytes and report must be those that were live then.

    Raises:
        PromotionRefused: they are not.
        LedgerError: somebody else has decided on this model since, or the ledger was tampered with.
        RegistryError: the aliases do not say afterwards what the ledger says.
    """
    if not is_live(target.decision, evidence):
        raise PromotionRefused(
            "its artifact or its gate report is not the one that was live", where=evidence.adapter_name,
            expected=f"artifact {str(target.decision.artifact_digest)[:12]} with report {str(target.decision.gate_report_digest)[:12]}",
        )  # fmt: skip
    return _make_live(registry, ledger, evidence, target.seen, lock, actor=actor, policy=ROLLBACK, reason=why)


def is_live(entry: Entry | None, evidence: Evidence) -> bool:
    """Whether a ledger entry says that exactly this version, with these bytes and this report, is live."""
    wanted = (evidence.model_name, evidence.version, evidence.artifact_digest, evidence.gate_report_digest)
    return entry is not None and (entry.model_name, entry.version, entry.artifact_digest, entry.gate_report_digest) == wanted


def note_rolled_out(registry: Registry, ledger: Ledger, evidence: Evidence) -> None:
    """Notes on a version's page by which decision the model server was proven to serve it; nothing if it is not live any more."""
    standing_now = standing(ledger.entries(), evidence.model_name)
    if standing_now and is_live(standing_now[-1], evidence):
        registry.set_tag(evidence.model_name, evidence.version, ROLLED_OUT_TAG, standing_now[-1].hash)


def was_rolled_out(registry: Registry, ledger: Ledger, model_name: str) -> bool:
    """Whether the roll-out of the decision that holds was finished. What an undo brings back was rolled out when it was decided."""
    decisions = standing(ledger.entries(), model_name)
    if not decisions or decisions[-1].version is None:
        return True
    tags = registry.tags(model_name, decisions[-1].version)
    return tags is not None and tags.get(ROLLED_OUT_TAG) == decisions[-1].hash


def _make_live(
    registry: Registry, ledger: Ledger, evidence: Evidence, seen: int, lock: Path, *, actor: str, policy: str, reason: str
) -> Entry:
    with exclusive(lock):
        check_tail(registry, ledger, evidence.model_name)
        head, live = ledger.head(), ledger.live(evidence.model_name)
        if live is None or not is_live(live, evidence):
            _require_unchanged(live, seen, evidence)
            live = ledger.append(
                model_name=evidence.model_name,
                version=evidence.version,
                adapter_name=evidence.adapter_name,
                artifact_digest=evidence.artifact_digest,
                gate_report_digest=evidence.gate_report_digest,
                actor=actor,
                policy=policy,
                reason=reason,
                expected_head=head.seq if head else 0,
            )
        mirror(registry, ledger, evidence.model_name)
    return live


def _require_unchanged(live: Entry | None, seen: int, evidence: Evidence) -> None:
    """Whoever decided without having seen what is live now decided on something else."""
    found = live.seq if live is not None else 0
    if found != seen:
        now = live.adapter_name if live is not None and live.adapter_name is not None else "nothing"
        raise LedgerError(
            f"somebody else has decided on {evidence.model_name} meanwhile: {now} is live by entry {found}", where=evidence.adapter_name,
            expected=f"entry {seen} to be the last decision" if seen else "no decision yet",
            hint="look at what is live, and start again",
        )  # fmt: skip
