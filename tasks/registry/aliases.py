"""The ledger's mirror in the registry: what `champion` and `previous` name, and a tag by which a cut tail of the ledger is noticed."""

from collections.abc import Sequence

from pipeline_config.errors import LedgerError, RegistryError
from tasks.ledger import Entry, Ledger, standing
from tasks.registry.port import LEDGER_HEAD_TAG, Alias, Registry, version_in

MIRRORED: tuple[Alias, Alias] = ("champion", "previous")
"""Aliases that only repeat what the ledger says."""

_TRIES = 3


def mirror(registry: Registry, ledger: Ledger, model_name: str) -> None:
    """Makes the aliases say what the ledger says, then signs the versions that the model's last entry is about with that entry's hash.

    Ledger and aliases are read once more at the end, and all is done again if either has moved on: MLflow lets the last writer win, and
    other hosts promote without our lock. So whoever writes last has read last. Each step is safe to repeat.

    Raises:
        RegistryError: the aliases do not stay as they are set, or the live version is not in the registry any more.
    """
    for _ in range(_TRIES):
        entries = ledger.entries()
        wanted = wanted_aliases(registry, entries, model_name)
        _move(registry, model_name, wanted)
        _sign(registry, entries, model_name)
        seen, found = _last(ledger.entries(), model_name), mirrored_aliases(registry, model_name)
        if found == wanted and seen == _last(entries, model_name):
            return
    raise RegistryError(
        f"the aliases are {found} after they were set", where=model_name, expected=f"{wanted}, as the ledger says",
        hint="somebody else moves aliases; the ledger decides, and the `reconcile` deployment puts them back",
    )  # fmt: skip


def mirrored_aliases(registry: Registry, model_name: str) -> dict[Alias, int]:
    """What the aliases name now that repeat the ledger."""
    found = registry.aliases(model_name)
    return {alias: found[alias] for alias in MIRRORED if alias in found}


def wanted_aliases(registry: Registry, entries: Sequence[Entry], model_name: str) -> dict[Alias, int]:
    """What they should name. A version before this one that was deleted from the registry is nothing to go back to, and left out.

    Raises:
        RegistryError: the live version was deleted from the registry.
    """
    decisions = standing(entries, model_name)
    champion, previous = decisions[-1].version if decisions else None, version_before(decisions)
    wanted: dict[Alias, int] = {} if champion is None else {"champion": champion}
    if champion is not None and registry.tags(model_name, champion) is None:
        raise RegistryError(
            f"version {champion} is live, and is not in the registry any more", where=model_name,
            expected="the version that the ledger names",
            hint='`tunegate rollback VERSION --why "..."` leads to one that is still there',
        )  # fmt: skip
    if previous is not None and registry.tags(model_name, previous) is not None:
        wanted["previous"] = previous
    return wanted


def version_before(decisions: Sequence[Entry]) -> int | None:
    """The version that was live before the one that is; null if there is none.

    Args:
        decisions: those that still stand, oldest first.
    """
    versions = [entry.version for entry in decisions]
    return next((version for version in reversed(versions) if version not in (versions[-1], None)), None)


def is_signed(registry: Registry, entry: Entry) -> bool:
    """Whether the mirror of a model's last entry was finished: signing is its last step. Where no version is left to sign, nobody knows."""
    signatures = {tags.get(LEDGER_HEAD_TAG) for tags in _bearers(registry, entry).values()}
    return signatures == {entry.hash}


def check_tail(registry: Registry, ledger: Ledger, model_name: str) -> None:
    """Proves that the ledger's chain is whole, and that its end was not cut off: it still has every entry that a version is signed with.

    Raises:
        LedgerError: it is not, or an entry is missing.
        RegistryError: the registry does not answer.
    """
    # Tags first: each names an entry that was in the ledger by then, so a chain that is read later holds it.
    signed = {
        version.adapter_name: version.tags[LEDGER_HEAD_TAG]
        for version in registry.tagged(LEDGER_HEAD_TAG)
        if version.model_name == model_name
    }
    ledger.verify()
    known = {entry.hash for entry in ledger.entries()}
    for name, signature in signed.items():
        if signature not in known:
            raise LedgerError(
                f"the ledger lacks the entry that {name} is signed with ({signature[:12]})", where=f"tag {LEDGER_HEAD_TAG} of {name}",
                expected="the hash of an entry of the ledger",
                hint="its end was cut off, or this is another ledger: restore the newest backup; until then nothing goes live",
            )  # fmt: skip


def _move(registry: Registry, model_name: str, wanted: dict[Alias, int]) -> None:
    found = mirrored_aliases(registry, model_name)
    for alias in MIRRORED:
        version = wanted.get(alias)
        if version is None and alias in found:
            registry.delete_alias(model_name, alias)
        elif version is not None and found.get(alias) != version:
            registry.set_alias(model_name, alias, version)


def _sign(registry: Registry, entries: Sequence[Entry], model_name: str) -> None:
    last = _last(entries, model_name)
    for version, tags in _bearers(registry, last).items() if last else ():
        if last is not None and tags.get(LEDGER_HEAD_TAG) != last.hash:
            registry.set_tag(model_name, version, LEDGER_HEAD_TAG, last.hash)


def _bearers(registry: Registry, entry: Entry) -> dict[int, dict[str, str]]:
    """The versions that an entry is about, as far as the registry still has them, with their tags."""
    concerned = version_in(entry.concerns, entry.model_name) if entry.concerns is not None else None
    tagged = {version: registry.tags(entry.model_name, version) for version in (entry.version, concerned) if version is not None}
    return {version: tags for version, tags in tagged.items() if tags is not None}


def _last(entries: Sequence[Entry], model_name: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.model_name == model_name), None)
