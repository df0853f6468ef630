"""`tunegate ledger`: what was live when, and why, from a chain that is verified first."""

from datetime import UTC, datetime

from pipeline_config.environment import Machine
from pipeline_config.errors import ConfigError
from tasks.files import ledger_path
from tasks.ledger import Entry, Ledger, live_at


def show_ledger(machine: Machine, model_name: str | None, at: str | None) -> None:
    """Prints every decision, or what was live at a time, a line each: number, time, what is live then, by which policy and whom, why.

    Args:
        model_name: one model only; null: all.
        at: a day or a time in ISO 8601, in UTC where it names no zone; a day means its end.

    Raises:
        ConfigError: `at` is no time.
        LedgerError: the ledger was tampered with; nothing is printed then.
    """
    ledger = Ledger(ledger_path(machine.workspace))
    checked = ledger.verify()
    entries = [entry for entry in ledger.entries() if model_name in (None, entry.model_name)]
    shown = entries if at is None else list(live_at(entries, read_moment(at)).values())
    head = ledger.head()
    print("\n".join([*map(_line, shown), f"{checked} entries, each follows the one before it; head {head.hash if head else 'none'}"]))


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


def _line(entry: Entry) -> str:
    live = entry.adapter_name or f"nothing of {entry.model_name}"
    digests = [
        f"{name} {digest[:12]}" for name, digest in (("artifact", entry.artifact_digest), ("report", entry.gate_report_digest)) if digest
    ]
    return f"{entry.seq:>5}  {entry.at[:19]}Z  {live}  {entry.policy} by {entry.actor}: {entry.reason}  {' '.join(digests)}".rstrip()
