"""Makes a version the live one: first in the ledger, then in the registry's aliases, which mirror it."""

from collections.abc import Sequence
from pathlib import Path

from pipeline_config.errors import PromotionRefused, RegistryError
from tasks.artifacts import Record
from tasks.files import exclusive
from tasks.ledger import ROLLBACK, UNDO, Entry, Ledger, standing, standing_if_undone
from tasks.registry.approval import Approval
from tasks.registry.port import Alias, Registry
from tasks.registry.verdict import Evidence

_MIRRORED: tuple[Alias, Alias] = ("champion", "previous")


def promote(registry: Registry, ledger: Ledger, evidence: Evidence, approval: Approval, lock: Path) -> Entry:
    """Records a version as live and moves the aliases. A version that is live already gets no second entry.

    Args:
        lock: file that keeps other promotions on this machine waiting.

    Raises:
        PromotionRefused: it is not approved.
        LedgerError: somebody else wrote to the ledger meanwhile.
        RegistryError: the aliases do not say afterwards what the ledger says.
    """
    if approval.state != "approved":
        raise PromotionRefused(f"it is not approved: {approval.reason}", where=evidence.adapter_name, expected="an approval")
    return _make_live(registry, ledger, evidence, lock, actor=approval.actor, policy=approval.policy, reason=approval.reason)


def undo(registry: Registry, ledger: Ledger, evidence: Evidence, reason: str, lock: Path) -> Entry | None:
    """Takes the promotion of a version back: what was live before it is live again, or nothing.

    Returns:
        The new entry; null if this version is not live any more, and so nothing was to be undone.
    """
    with exclusive(lock):
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
        )
        mirror(registry, ledger, evidence.model_name)
    return entry


class Target(Record):
    """A version to go back to, and the last decision that made it live."""

    version: int
    decision: Entry


def rollback_target(ledger: Ledger, model_name: str, version: int | None) -> Target:
    """Where a rollback leads: to a version that is asked for, or else to the one that was live before this one.

    Raises:
        PromotionRefused: nothing was live before, the version never was, or it is live now.
    """
    entries = ledger.entries()
    decisions = standing(entries, model_name)
    current = decisions[-1].version if decisions else None
    wanted = version if version is not None else _before(decisions)
    if wanted is None:
        raise PromotionRefused("there is no version to go back to", where=model_name, expected="a version that was live before this one")
    if wanted == current:
        raise PromotionRefused(f"version {wanted} is live already", where=model_name, expected="another version")
    found = [entry for entry in entries if (entry.model_name, entry.version) == (model_name, wanted)]
    if not found:
        raise PromotionRefused(
            f"version {wanted} was never live", where=model_name, expected="a version that the ledger names",
            hint="`tunegate ledger` lists them; a new version goes through the `promotion` deployment",
        )  # fmt: skip
    return Target(version=wanted, decision=found[-1])


def go_back(registry: Registry, ledger: Ledger, evidence: Evidence, target: Target, actor: str, why: str, lock: Path) -> Entry:
    """Records that a version which was live before is live again, and moves the aliases.

    Args:
        evidence: of the version, verified again just now.
        target: of :func:`rollback_target`; the version's bytes and report must be those that were live then.

    Raises:
        PromotionRefused: they are not.
        LedgerError: somebody else wrote to the ledger meanwhile.
        RegistryError: the aliases do not say afterwards what the ledger says.
    """
    if not is_live(target.decision, evidence):
        raise PromotionRefused(
            "its artifact or its gate report is not the one that was live", where=evidence.adapter_name,
            expected=f"artifact {str(target.decision.artifact_digest)[:12]} with report {str(target.decision.gate_report_digest)[:12]}",
        )  # fmt: skip
    return _make_live(registry, ledger, evidence, lock, actor=actor, policy=ROLLBACK, reason=why)


def is_live(entry: Entry | None, evidence: Evidence) -> bool:
    """Whether a ledger entry says that exactly this version, with these bytes and this report, is live."""
    wanted = (evidence.model_name, evidence.version, evidence.artifact_digest, evidence.gate_report_digest)
    return entry is not None and (entry.model_name, entry.version, entry.artifact_digest, entry.gate_report_digest) == wanted


def mirror(registry: Registry, ledger: Ledger, model_name: str) -> None:
    """Makes `champion` and `previous` say what the ledger says, and reads them back, since MLflow lets the last writer win.

    Raises:
        RegistryError: they do not.
    """
    wanted = _wanted_aliases(ledger, model_name)
    found = registry.aliases(model_name)
    for alias in _MIRRORED:
        version = wanted.get(alias)
        if version is None and alias in found:
            registry.delete_alias(model_name, alias)
        elif version is not None and found.get(alias) != version:
            registry.set_alias(model_name, alias, version)
    found = {alias: version for alias, version in registry.aliases(model_name).items() if alias in _MIRRORED}
    if found != wanted:
        raise RegistryError(
            f"the aliases are {found} after they were set", where=model_name, expected=f"{wanted}, as the ledger says",
            hint="somebody else moves aliases; the ledger decides, so run the promotion again",
        )  # fmt: skip


def _make_live(registry: Registry, ledger: Ledger, evidence: Evidence, lock: Path, *, actor: str, policy: str, reason: str) -> Entry:
    with exclusive(lock):
        head, live = ledger.head(), ledger.live(evidence.model_name)
        if live is None or not is_live(live, evidence):
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


def _wanted_aliases(ledger: Ledger, model_name: str) -> dict[Alias, int]:
    decisions = standing(ledger.entries(), model_name)
    wanted: dict[Alias, int | None] = {"champion": decisions[-1].version if decisions else None, "previous": _before(decisions)}
    return {alias: version for alias, version in wanted.items() if version is not None}


def _before(decisions: Sequence[Entry]) -> int | None:
    """The version that was live before the one that is; null if there is none."""
    versions = [entry.version for entry in decisions]
    return next((version for version in reversed(versions) if version not in (versions[-1], None)), None)
