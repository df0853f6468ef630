"""Rewordings that were made once, kept by content and shared by all runs: a killed run does not pay again.

Each is written as soon as it is there. What an operator would answer otherwise another time, as when an endpoint was away, is not kept.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pipeline_config.errors import DataError
from tasks.augment.operators import Candidate, Operator, Request

UNANSWERED = "no candidate"
"""The reason where an operator said nothing about a request."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS candidates (
    version TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT,
    reason TEXT,
    cost REAL NOT NULL,
    PRIMARY KEY (version, key)
) STRICT, WITHOUT ROWID;
"""
_ASKED_FOR = 500  # keys of one look-up; SQLite takes 999 parameters everywhere
_PATIENCE = 60.0  # seconds that a writer waits for another one


class Candidates:
    """Final candidates in one SQLite file. Any number of processes may use it at once; a thread needs a connection of its own.

    After a crash of the process everything that was written is there; a crash of the machine may take the last moments.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Opens the file; makes it if there is none.

        Raises:
            DataError: the file is no database, or a damaged one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            yield cls(connection)
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"rewordings of earlier runs cannot be used: {error}",
                where=str(path),
                expected="a database of rewordings that nobody keeps locked",
                hint="delete it if it is damaged: what is in it is made again",
            ) from error
        finally:
            connection.close()

    def find(self, version: str, keys: Sequence[str]) -> dict[str, Candidate]:
        """Those of an operator's version that are there."""
        found: dict[str, Candidate] = {}
        for start in range(0, len(keys), _ASKED_FOR):
            part = keys[start : start + _ASKED_FOR]
            marks = ", ".join("?" * len(part))
            query = f"SELECT key, text, reason, cost FROM candidates WHERE version = ? AND key IN ({marks})"
            for key, text, reason, cost in self._connection.execute(query, (version, *part)):
                found[key] = Candidate(key, text, reason, cost=cost)
        return found

    def keep(self, version: str, candidate: Candidate) -> None:
        """Writes one; of two with the same key the first stays."""
        values = (version, candidate.key, candidate.text, candidate.reason, candidate.cost)
        self._connection.execute("INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?)", values)


def ask(operator: Operator, requests: Iterable[Request], known: Candidates) -> dict[str, Candidate]:
    """A candidate for every request, by its key; the operator is asked only for what nobody has made before.

    Texts are stripped; one without a word is none.
    """
    wanted = {request.key: request for request in requests}
    found = known.find(operator.version, list(wanted))
    missing = [request for key, request in wanted.items() if key not in found]
    for candidate in operator.reword(missing) if missing else ():
        told = _told(candidate)
        if told.final:
            known.keep(operator.version, told)
        found[told.key] = told
    return {key: found.get(key) or Candidate(key, None, UNANSWERED, final=False) for key in wanted}


def _told(candidate: Candidate) -> Candidate:
    text = (candidate.text or "").strip()
    reason = None if text else candidate.reason or "empty"
    return Candidate(candidate.key, text or None, reason, candidate.final, candidate.cost)
