"""Makes a version the live one: first in the ledger, then in the registry's aliases, which mirror it."""

from pathlib import Path

from pipeline_config.errors import PromotionRefused, RegistryError
from tasks.files import exclusive
from tasks.ledger import UNDO, Entry, Ledger, standing
from tasks.registry.port import Alias, Registry
from tasks.registry.verdict import Approval, Evidence

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
    with exclusive(lock):
        head, live = ledger.head(), ledger.live(evidence.model_name)
        if live is None or not is_live(live, evidence):
            live = ledger.append(
                model_name=evidence.model_name,
                version=evidence.version,
                adapter_name=evidence.adapter_name,
                artifact_digest=evidence.artifact_digest,
                gate_report_digest=evidence.gate_report_digest,
                actor=approval.actor,
                policy=approval.policy,
                reason=approval.reason,
                expected_head=head.seq if head else 0,
            )
        mirror(registry, ledger, evidence.model_name)
    return live


def undo(registry: Registry, ledger: Ledger, evidence: Evidence, reason: str, lock: Path) -> Entry | None:
    """Takes the promotion of a version back: what was live before it is live again, or nothing.

    Returns:
        The new entry; null if this version is not live any more, and so nothing was to be undone.
    """
    with exclusive(lock):
        head, live = ledger.head(), ledger.live(evidence.model_name)
        if head is None or live is None or not is_live(live, evidence):
            return None
        before = standing(ledger.entries(), evidence.model_name)[:-1]
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


def _wanted_aliases(ledger: Ledger, model_name: str) -> dict[Alias, int]:
    versions = [entry.version for entry in standing(ledger.entries(), model_name)]
    current = versions[-1] if versions else None
    earlier = next((version for version in reversed(versions) if version not in (current, None)), None)
    wanted: dict[Alias, int | None] = {"champion": current, "previous": earlier}
    return {alias: version for alias, version in wanted.items() if version is not None}
