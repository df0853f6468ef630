"""The production ledger: an append-only, hash-chained record of which version of each model is live, since when, by whom and why.

Its head is the desired state: the model server reads it on every request. MLflow's aliases only mirror it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from pipeline_config.errors import LedgerError
from tasks.artifacts import Record
from tasks.files import ledger_path, sha256_json
from tasks.ledger_book import LAST, Book, Row
from tasks.ledger_sqlite import SqliteBook

GENESIS = "0" * 64
"""Previous hash of the first entry."""

UNDO = "undo"
"""Policy of an entry that takes the one before it of the same model back."""

ROLLBACK = "rollback"
"""Policy of an entry by which a person goes back to a version that was live before."""

REJECTION = "rejection"
"""Policy of an entry that records a reviewer's no; it changes nothing about what is live."""

RECONCILE = "reconcile"
"""Policy of an entry that records that aliases were put back; it changes nothing about what is live."""

REMARKS = (REJECTION, RECONCILE)
"""Policies of entries that only remark on a model: they repeat what is live, and no question about what is live looks at them."""

_ALL = "SELECT * FROM entries ORDER BY seq"
_DECISIONS = "policy NOT IN ('rejection', 'reconcile')"


class Entry(Record):
    """One decision. `version` is what is live from then on; with null, nothing of this model is, and the three fields after it are null.

    `at` is UTC in ISO 8601. `concerns` is the adapter name of the version that the decision is about, where that is not the live one.
    `hash` is the SHA-256 of the canonical JSON of all other fields, without `concerns` where it is null; `previous_hash` is that of the
    entry before.
    """

    seq: int
    at: str
    model_name: str
    version: int | None
    adapter_name: str | None
    artifact_digest: str | None
    gate_report_digest: str | None
    actor: str
    policy: str
    reason: str
    previous_hash: str
    hash: str
    concerns: str | None = None


class Ledger:
    """The ledger, in one SQLite file or in a Postgres database. Any number of threads and processes may use it at once.

    Args:
        place: the file, made if there is none, or the database's URL.
        clock: the present time, with a time zone.

    Raises:
        LedgerError: the file or the database cannot be used.
        ConfigError: the driver for the database is not installed.
    """

    def __init__(self, place: Path | str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._book, self._clock = _open_book(place), clock

    @property
    def where(self) -> str:
        """The file or the database, without its password."""
        return self._book.where

    def append(
        self,
        *,
        model_name: str,
        version: int | None,
        adapter_name: str | None,
        artifact_digest: str | None,
        gate_report_digest: str | None,
        actor: str,
        policy: str,
        reason: str,
        expected_head: int,
        concerns: str | None = None,
    ) -> Entry:
        """Adds an entry after the one that the caller has seen.

        Args:
            expected_head: `seq` of the last entry that the caller knows of; 0 for an empty ledger.
            concerns: adapter name of the version that the decision is about, where that is not `adapter_name`.

        Raises:
            LedgerError: somebody else has written since, or the last entry was tampered with.
        """
        written: list[Entry] = []

        def compose(row: Row | None) -> Row:
            last = _read(row) if row else None
            seen = last.seq if last else 0
            if seen != expected_head:
                raise LedgerError(
                    f"the ledger has moved on to entry {seen}",
                    where=self.where,
                    expected=f"entry {expected_head} to be the last one",
                    hint="somebody else has promoted meanwhile; look at what is live and start again",
                )
            content = {
                "seq": seen + 1,
                "at": self._clock().astimezone(UTC).isoformat(),
                "model_name": model_name,
                "version": version,
                "adapter_name": adapter_name,
                "artifact_digest": artifact_digest,
                "gate_report_digest": gate_report_digest,
                "actor": actor,
                "policy": policy,
                "reason": reason,
                "previous_hash": last.hash if last else GENESIS,
            }
            # Left out where it is null, so that ledgers from before there was such a field still verify.
            content |= {"concerns": concerns} if concerns is not None else {}
            written.append(Entry.model_validate({**content, "hash": sha256_json(content)}))
            return written[-1].model_dump()

        self._book.add(compose)
        return written[-1]

    def remark(self, *, model_name: str, policy: str, actor: str, reason: str, concerns: str | None, expected_head: int) -> Entry:
        """Adds an entry that changes nothing about what is live: it repeats what the model's last decision says.

        Args:
            policy: one of :data:`REMARKS`.
            concerns: adapter name of the version that the remark is about; null if it is about none.

        Raises:
            LedgerError: as :meth:`append`.
        """
        live = self.live(model_name)
        return self.append(
            model_name=model_name,
            version=live.version if live else None,
            adapter_name=live.adapter_name if live else None,
            artifact_digest=live.artifact_digest if live else None,
            gate_report_digest=live.gate_report_digest if live else None,
            actor=actor,
            policy=policy,
            reason=reason,
            expected_head=expected_head,
            concerns=concerns,
        )

    def head(self) -> Entry | None:
        """The last entry over all models; null if there is none.

        Raises:
            LedgerError: the entry does not match its own hash.
        """
        return self._first_of(LAST)

    def live(self, model_name: str) -> Entry | None:
        """The last decision on a model; null if there is none. Nothing is live if its `version` is null.

        Raises:
            LedgerError: the entry does not match its own hash.
        """
        return self._first_of(f"SELECT * FROM entries WHERE model_name = ? AND {_DECISIONS} ORDER BY seq DESC LIMIT 1", model_name)

    def newest(self) -> Entry | None:
        """The last decision over all models; null if there is none.

        Raises:
            LedgerError: the entry does not match its own hash.
        """
        return self._first_of(f"SELECT * FROM entries WHERE {_DECISIONS} ORDER BY seq DESC LIMIT 1")

    def live_by_model(self) -> dict[str, Entry]:
        """The last decision on every model, by the model's name.

        Raises:
            LedgerError: one of them does not match its own hash.
        """
        newest = f"SELECT max(seq) FROM entries WHERE {_DECISIONS} GROUP BY model_name"
        rows = self._book.select(f"SELECT * FROM entries WHERE seq IN ({newest}) ORDER BY seq")
        return {entry.model_name: entry for entry in map(_read, rows)}

    def entries(self) -> list[Entry]:
        """All entries, oldest first, each held against its own hash.

        Raises:
            LedgerError: an entry was tampered with.
        """
        return [_read(row) for row in self._book.select(_ALL)]

    def verify(self) -> int:
        """Recomputes the whole chain.

        Returns:
            How many entries were checked.

        Raises:
            LedgerError: names the first entry that was changed, removed or put in.
        """
        previous, count = GENESIS, 0
        for row in self._book.select(_ALL):
            count += 1
            if row["seq"] != count:
                raise _broken(count, f"its place is taken by entry {row['seq']}")
            entry = _read(row)
            if entry.previous_hash != previous:
                raise _broken(count, "it does not follow the entry before it")
            previous = entry.hash
        return count

    def _first_of(self, query: str, *values: str) -> Entry | None:
        rows = self._book.select(query, values)
        return _read(rows[0]) if rows else None


def open_ledger(workspace: Path, url: SecretStr | None) -> Ledger:
    """The ledger of this machine: in the database that `TUNEGATE_LEDGER_URL` names, or else in the workspace.

    Raises:
        LedgerError: it cannot be used.
    """
    return Ledger(ledger_path(workspace) if url is None else url.get_secret_value())


def live_at(entries: Sequence[Entry], moment: datetime) -> dict[str, Entry]:
    """The decision of each model that held at a time, by the model's name; those before its first one are left out."""
    decisions = (entry for entry in entries if entry.policy not in REMARKS)
    return {entry.model_name: entry for entry in decisions if datetime.fromisoformat(entry.at) <= moment}


def standing(entries: Sequence[Entry], model_name: str) -> list[Entry]:
    """The decisions on a model that still stand, oldest first.

    The last of them says what is live, those before it what can be gone back to. A rollback takes away everything since its version was
    last decided for, so that going back once more does not lead forward. An undo takes itself and the decision before it away.
    """
    return _history(entries, model_name)[-1]


def standing_if_undone(entries: Sequence[Entry], model_name: str) -> list[Entry]:
    """As :func:`standing`, if the last decision that still stands were undone."""
    return next(iter(_history(entries, model_name)[-2:]))


def _history(entries: Sequence[Entry], model_name: str) -> list[list[Entry]]:
    """What stood after each decision that was not undone, beginning with nothing."""
    history: list[list[Entry]] = [[]]
    for entry in entries:
        if entry.model_name != model_name or entry.policy in REMARKS:
            continue
        if entry.policy == UNDO:
            del history[max(1, len(history) - 1) :]
        elif entry.policy == ROLLBACK:
            history.append([*_until(history[-1], entry.version), entry])
        else:
            history.append([*history[-1], entry])
    return history


def _until(decisions: Sequence[Entry], version: int | None) -> list[Entry]:
    """Decisions before the last one for a version; all if there is none for it."""
    last = max((place for place, entry in enumerate(decisions) if entry.version == version), default=len(decisions))
    return list(decisions[:last])


def _open_book(place: Path | str) -> Book:
    if isinstance(place, Path):
        return SqliteBook(place)
    from tasks.ledger_postgres import PostgresBook

    return PostgresBook(place)


def _read(row: Row) -> Entry:
    try:
        entry = Entry.model_validate(row, strict=True)
        true_hash = sha256_json(entry.model_dump(exclude={"hash"} if entry.concerns is not None else {"hash", "concerns"}))
    except ValueError as error:
        raise _broken(row["seq"], "it holds values that were never written") from error
    if entry.hash != true_hash:
        raise _broken(entry.seq, "it does not match its hash")
    return entry


def _broken(seq: int, fault: str) -> LedgerError:
    return LedgerError(
        f"entry {seq} of the ledger is broken: {fault}",
        where=f"ledger entry {seq}",
        expected="the entry as it was written",
        hint="restore the ledger from a backup; nothing that it says can be trusted",
    )
