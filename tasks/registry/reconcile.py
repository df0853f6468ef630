"""Heals what a crash between any two steps left behind, and what somebody moved by hand: the ledger decides, aliases and tags follow."""

from pathlib import Path

from tasks.artifacts import Record
from tasks.files import exclusive
from tasks.ledger import RECONCILE, UNDO, Entry, Ledger
from tasks.registry.aliases import check_tail, is_signed, mirror, mirrored_aliases, wanted_aliases
from tasks.registry.port import LEDGER_HEAD_TAG, VERDICT_TAG, Alias, Registry, adapter_name
from tasks.registry.promote import was_rolled_out

_ACTOR = "reconcile (no person)"


class Healed(Record):
    """What holds for a model now that aliases and tags agree with the ledger.

    Attributes:
        live: the version that is live; null if none is.
        rolled_out: whether the model server was proven to serve it.
        withdrawn: the version that the last decision took back, if it did.
        remark: the entry that says what was put back; null if nothing had to be.
    """

    model_name: str
    live: int | None
    rolled_out: bool
    withdrawn: str | None
    remark: Entry | None


class Models(Record):
    """Models that tunegate has registered versions of, by name.

    Attributes:
        ours: those that this ledger decides on, or nobody yet.
        strangers: those whose versions are signed with entries of a ledger, of which this one has none. Several workspaces with ledgers of
            their own may share one MLflow; or else all entries on such a model were cut off.
    """

    ours: tuple[str, ...]
    strangers: tuple[str, ...]


def known_models(registry: Registry, ledger: Ledger) -> Models:
    """The models that can be reconciled, and those that must be left alone. Versions that tunegate did not register are not looked at.

    Raises:
        LedgerError: the ledger was tampered with.
        RegistryError: the registry does not answer.
    """
    signed, registered = ({version.model_name for version in registry.tagged(tag)} for tag in (LEDGER_HEAD_TAG, VERDICT_TAG))
    decided = {entry.model_name for entry in ledger.entries()}
    strangers = signed - decided
    return Models(ours=tuple(sorted(decided | registered - strangers)), strangers=tuple(sorted(strangers)))


def stranger_note(model_name: str) -> str:
    """What is to be said of a model that must be left alone."""
    return f"{model_name} is left alone: another ledger decides on it, or all that this one said of it was cut off"


def reconcile(registry: Registry, ledger: Ledger, model_name: str, lock: Path) -> Healed:
    """Puts the aliases of a model back where the ledger has them, records that, and signs the versions.

    Args:
        lock: that of the promotions, so that none is under way.

    Raises:
        LedgerError: the ledger was tampered with or its end was cut off; nothing is touched then.
        RegistryError: the aliases do not stay as they are set, or the live version is not in the registry any more.
    """
    with exclusive(lock):
        check_tail(registry, ledger, model_name)
        remark = _record(registry, ledger, model_name)
        mirror(registry, ledger, model_name)
        live = ledger.live(model_name)
    return Healed(
        model_name=model_name,
        live=live.version if live is not None else None,
        rolled_out=was_rolled_out(registry, ledger, model_name),
        withdrawn=live.concerns if live is not None and live.policy == UNDO else None,
        remark=remark,
    )


def _record(registry: Registry, ledger: Ledger, model_name: str) -> Entry | None:
    """Says in the ledger what is put back, before it is; null if there is nothing to put back."""
    head, entries = ledger.head(), ledger.entries()
    found, wanted = mirrored_aliases(registry, model_name), wanted_aliases(registry, entries, model_name)
    if found == wanted:
        return None
    fault = f"the aliases named {_listed(found)} where the ledger has {_listed(wanted)}, and were put right: "
    last = next((entry for entry in reversed(entries) if entry.model_name == model_name), None)
    interrupted = last is not None and not is_signed(registry, last)
    if last is not None and interrupted and last.policy == RECONCILE and last.reason.startswith(fault):
        return last  # said before, by one that ended before it could do it
    cause = f"what entry {last.seq} asks for was interrupted" if last is not None and interrupted else "somebody had moved them"
    strays = [adapter_name(model_name, version) for alias, version in found.items() if wanted.get(alias) != version]
    return ledger.remark(
        model_name=model_name, policy=RECONCILE, actor=_ACTOR, reason=fault + cause, concerns=strays[0] if strays else None,
        expected_head=head.seq if head is not None else 0,
    )  # fmt: skip


def _listed(aliases: dict[Alias, int]) -> str:
    return ", ".join(f"{alias} {version}" for alias, version in aliases.items()) or "nothing"
