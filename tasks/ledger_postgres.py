"""The ledger's entries in a Postgres database, for pipelines on more than one host."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pipeline_config.errors import ConfigError, LedgerError
from tasks.ledger_book import LAST, Row, insertion

_ALONE = "SELECT pg_advisory_xact_lock(8289918)"
"""Keeps other writers waiting up to the end of the transaction. Unlike a lock on the table it needs no more than the right to add."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq BIGINT PRIMARY KEY,
    at TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version BIGINT,
    adapter_name TEXT,
    artifact_digest TEXT,
    gate_report_digest TEXT,
    actor TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    concerns TEXT
);
CREATE INDEX IF NOT EXISTS entries_by_model ON entries (model_name, seq);
CREATE OR REPLACE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE OR REPLACE FUNCTION entries_follow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM tunegate.entries) THEN RAISE EXCEPTION 'the ledger is append-only'; END IF;
        RETURN NEW;
    END $$;
CREATE OR REPLACE TRIGGER entries_never_change BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION entries_stay();
CREATE OR REPLACE TRIGGER entries_never_go BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
CREATE OR REPLACE TRIGGER entries_only_follow BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION entries_follow();
"""


class PostgresBook:
    """`tasks.ledger_book.Book` in table `entries` of schema `tunegate`. Any number of hosts may use it at once.

    Args:
        url: such as `postgresql://user:password@host:5432/database`; the user may create a schema there, or it is there already.

    Raises:
        ConfigError: the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url, self.where = url, _without_password(url)
        with self._open() as connection, connection.transaction():
            # Of several that begin together, the first makes it and the others find it. One that is there is not touched.
            connection.execute(_ALONE)
            if not _has(connection, "to_regclass('tunegate.entries')"):
                if not _has(connection, "to_regnamespace('tunegate')"):
                    connection.execute("CREATE SCHEMA tunegate")
                connection.execute(_SCHEMA)

    def select(self, query: str, values: Sequence[str] = ()) -> list[Row]:
        """See :meth:`tasks.ledger_book.Book.select`."""
        with self._open() as connection:
            return list(connection.execute(query.replace("?", "%s"), values))

    def add(self, compose: Callable[[Row | None], Row]) -> None:
        """See :meth:`tasks.ledger_book.Book.add`."""
        with self._open() as connection, connection.transaction():
            connection.execute(_ALONE)
            row = compose(connection.execute(LAST).fetchone())
            connection.execute(insertion(row, "%s"), list(row.values()))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """A connection of its own for each call, so that threads share nothing. Uncommitted changes are dropped on close."""
        psycopg = _driver(self.where)
        from psycopg.rows import dict_row

        try:
            with psycopg.connect(
                self._url, autocommit=True, row_factory=dict_row, connect_timeout=10, options="-c search_path=tunegate"
            ) as connection:
                yield connection
        except (psycopg.Error, UnicodeError) as error:
            raise LedgerError(
                f"the ledger cannot be used: {' '.join(str(error).split())}", where=self.where,
                expected="a Postgres database that answers, and a user who may read and add entries",
                hint="see that TUNEGATE_LEDGER_URL is right and the database up; without it nothing can be served",
            ) from error  # fmt: skip


def _has(connection: Any, thing: str) -> bool:
    return bool(connection.execute(f"SELECT {thing} IS NOT NULL AS found").fetchone()["found"])


def _driver(where: str) -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            f"a ledger in Postgres needs the driver psycopg, which is not usable here: {error}", where=where,
            expected="psycopg 3", hint="pip install 'tunegate[postgres]', or unset TUNEGATE_LEDGER_URL for a SQLite file",
        ) from error  # fmt: skip
    return psycopg


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
