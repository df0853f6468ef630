"""The ledger's entries in one SQLite file."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline_config.errors import LedgerError
from tasks.ledger_book import LAST, Row, insertion

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version INTEGER,
    adapter_name TEXT,
    artifact_digest TEXT,
    gate_report_digest TEXT,
    actor TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    concerns TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_model ON entries (model_name, seq);
CREATE TRIGGER IF NOT EXISTS entries_never_change BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_never_go BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_only_follow BEFORE INSERT ON entries
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


class SqliteBook:
    """`tasks.ledger_book.Book` in a file. Any number of threads and processes may use it at once.

    Args:
        path: the file; made if there is none. One that vanishes later is not made anew.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open("rwc") as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            _add_missing_column(connection)

    def select(self, query: str, values: Sequence[str] = ()) -> list[Row]:
        """See :meth:`tasks.ledger_book.Book.select`."""
        with self._open("rw") as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def add(self, compose: Callable[[Row | None], Row]) -> None:
        """See :meth:`tasks.ledger_book.Book.add`."""
        with self._open("rw") as connection:
            connection.execute("BEGIN IMMEDIATE")
            last = connection.execute(LAST).fetchone()
            row = compose(dict(last) if last else None)
            connection.execute(insertion(row), list(row.values()))
            connection.execute("COMMIT")

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each call, so that threads share nothing. Uncommitted changes are dropped on close."""
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise LedgerError(
                f"the ledger cannot be used: {error}",
                where=self.where,
                expected="a readable and writable SQLite file made by tunegate",
                hint="restore it from a backup; without it nothing can be served",
            ) from error


def _add_missing_column(connection: sqlite3.Connection) -> None:
    """Ledgers from before there were remarks lack a column. Null in it means the same as none, so their hashes stay true."""
    if _has_column(connection):
        return  # and so opening a ledger waits for no writer
    connection.execute("BEGIN IMMEDIATE")
    if not _has_column(connection):
        connection.execute("ALTER TABLE entries ADD COLUMN concerns TEXT")
    connection.execute("COMMIT")


def _has_column(connection: sqlite3.Connection) -> bool:
    return "concerns" in {row["name"] for row in connection.execute("PRAGMA table_info(entries)")}


def _text(content: bytes) -> str:
    """Bytes that are not UTF-8 become characters that no hash accepts, so that a damaged entry is reported like any other."""
    return content.decode("utf-8", "surrogateescape")
