"""`tunegate ledger`: what was live when, and why, from a chain that is verified first."""

from collections.abc import Sequence
from datetime import UTC, datetime

from deployments.services.health import mlflow_fault
from pipeline_config.environment import Machine
from pipeline_config.errors import ConfigError
from tasks.ledger import REMARKS, Entry, Ledger, live_at, open_ledger


def show_ledger(machine: Machine, model_name: str | None, at: str | None) -> None:
    """Prints every entry, or what was live at a time, one a line.

    Args:
        model_name: one model only; null: all.
        at: a day or a time in ISO 8601, in UTC where it names no zone; a day means its end.

    Raises:
        ConfigError: `at` is no time.
        LedgerError: the ledger was tampered with or its end was cut off; nothing is printed then.
    """
    moment = None if at is None else read_moment(at)
    ledger = open_ledger(machine.workspace, machine.ledger_url)
    checked, everything = ledger.verify(), ledger.entries()
    notes = _check_tails(machine, ledger, everything)
    entries = [entry for entry in everything if model_name in (None, entry.model_name)]
    if moment is not None:
        print(f"live at {moment.isoformat(timespec='seconds')}:")
        entries = list(live_at(entries, moment).values())
    for entry in entries:
        print(_line(entry))
    head = ledger.head()
    print(f"{checked} entries, each follows the one before it; head {head.hash if head else 'none'}")
    print(*notes, sep="\n", end="\n" if notes else "")


def read_moment(text: str) -> datetime:
    """A time in UTC; the last moment of a day where only that is given.

    Raises:
        ConfigError: it is neither a day nor a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is no time", where="--at", expected="ISO 8601, such as 2026-11-01 or 2026-11-01T14:30+01:00"
        ) from error
    if "T" not in text and " " not in text:
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _check_tails(machine: Machine, ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Asks the registry, whose versions are signed with entries that must still be there; returns what has to be said."""
    if fault := mlflow_fault(machine):
        return [f"whether its end was cut off could not be checked: {fault}"]
    from tasks.registry.aliases import check_tail
    from tasks.registry.mlflow_registry import MlflowRegistry
    from tasks.registry.reconcile import known_models, stranger_note

    registry = MlflowRegistry(machine.mlflow_url)
    for name in sorted({entry.model_name for entry in entries}):
        check_tail(registry, ledger, name)
    return [stranger_note(name) for name in known_models(registry, ledger).strangers]


def _line(entry: Entry) -> str:
    live = entry.adapter_name or f"nothing of {entry.model_name}"
    if entry.policy in REMARKS:
        live += f" stays, about {entry.concerns}" if entry.concerns else " stays"
    elif entry.concerns:
        live += f" in place of {entry.concerns}"
    digests = ", ".join(
        f"{what} {digest[:12]}" for what, digest in (("artifact", entry.artifact_digest), ("report", entry.gate_report_digest)) if digest
    )
    return (
        f"{entry.seq:>4}  {entry.at[:19]}Z  {live}  [{entry.policy} by {entry.actor}] {entry.reason}{f'  ({digests})' if digests else ''}"
    )
