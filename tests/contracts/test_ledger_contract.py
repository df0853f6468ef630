"""What the ledger promises wherever it is kept: asked of a SQLite file and of a real Postgres server."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.errors import LedgerError
from tasks.ledger import REJECTION, Entry, Ledger
from tests.machines import free_ports

TRIGGERS = ("entries_never_change", "entries_never_go", "entries_only_follow")


class Place:
    """Where a ledger is kept, and what somebody with the password can do there."""

    def __init__(self, place: Path | str) -> None:
        self.place, self.ledger = place, Ledger(place)

    def execute(self, statement: str) -> None:
        """What a person types into the database's own console."""
        if isinstance(self.place, Path):
            import sqlite3

            with sqlite3.connect(self.place) as connection:
                connection.execute(statement)
            connection.close()
        else:
            with psycopg().connect(self.place, options="-c search_path=tunegate") as connection:
                connection.execute(statement)

    def tamper(self, statement: str) -> None:
        for name in TRIGGERS:
            self.execute(f"DROP TRIGGER {name}{'' if isinstance(self.place, Path) else ' ON entries'}")
        self.execute(statement)


def psycopg() -> Any:
    return pytest.importorskip("psycopg")


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "file":
        yield Place(tmp_path / "ledger.sqlite")
        return
    yield Place(request.getfixturevalue("postgres_url"))


def append(ledger: Ledger, version: int | None, model: str = "routing", expected_head: int | None = None, **fields: Any) -> Entry:
    head = ledger.head()
    values: dict[str, Any] = {
        "adapter_name": f"{model}-v{version}" if version else None,
        "artifact_digest": "a" * 64 if version else None,
        "gate_report_digest": "b" * 64 if version else None,
        "actor": "a person",
        "policy": "mlflow_review",
        "reason": "ä 'quoted' ? %s {x}",
        **fields,
    }
    seen = (head.seq if head else 0) if expected_head is None else expected_head
    return ledger.append(model_name=model, version=version, expected_head=seen, **values)


def test_entries_are_kept_as_they_were_written_and_survive_a_new_start(place: Place) -> None:
    assert (place.ledger.head(), place.ledger.live("routing"), place.ledger.entries(), place.ledger.verify()) == (None, None, [], 0)
    written = [append(place.ledger, 1), append(place.ledger, None, concerns="routing-v1"), append(place.ledger, 7, "intents")]
    again = Ledger(place.place)
    assert again.entries() == written
    assert again.verify() == 3
    assert (again.head(), again.newest(), again.live("routing")) == (written[2], written[2], written[1])
    assert again.live_by_model() == {"routing": written[1], "intents": written[2]}


def test_a_remark_changes_no_answer(place: Place) -> None:
    first = append(place.ledger, 1)
    place.ledger.remark(model_name="routing", policy=REJECTION, actor="a person", reason="no", concerns="routing-v2", expected_head=1)
    assert place.ledger.live("routing") == first == place.ledger.newest()
    assert place.ledger.verify() == 2


def test_of_writers_that_saw_the_same_one_wins(place: Place) -> None:
    append(place.ledger, 1)
    lost: list[LedgerError] = []

    def compete(version: int) -> None:
        try:
            append(Ledger(place.place), version, expected_head=1)
        except LedgerError as error:
            lost.append(error)

    threads = [threading.Thread(target=compete, args=(version,)) for version in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 7
    assert all("moved on to entry 2" in str(error) for error in lost)
    assert place.ledger.verify() == 2


def test_of_many_that_make_the_ledger_at_one_time_each_can_use_it(place: Place, tmp_path: Path) -> None:
    if not isinstance(place.place, Path):
        place.execute("DROP SCHEMA tunegate CASCADE")
    where = tmp_path / "new.sqlite" if isinstance(place.place, Path) else place.place
    heads: list[Entry | None] = []
    threads = [threading.Thread(target=lambda: heads.append(Ledger(where).head())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heads == [None] * 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET version = 9",
        "DELETE FROM entries",
        "INSERT INTO entries SELECT 5, at, model_name, 9, adapter_name, null, null, actor, policy, reason, hash, hash, null FROM entries",
    ],
)
def test_the_database_itself_refuses_changes(place: Place, statement: str) -> None:
    append(place.ledger, 1)
    with pytest.raises(Exception, match="append-only"):
        place.execute(statement)
    assert place.ledger.verify() == 1


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE entries SET reason = 'another' WHERE seq = 2", 2),
        ("UPDATE entries SET concerns = '' WHERE seq = 1", 1),
        ("DELETE FROM entries WHERE seq = 1", 1),
        ("DELETE FROM entries WHERE seq = 2", 2),
    ],
)
def test_what_was_changed_behind_its_back_is_found(place: Place, statement: str, broken: int) -> None:
    for version in (1, 2, 3):
        append(place.ledger, version)
    place.tamper(statement)
    with pytest.raises(LedgerError, match=f"entry {broken} "):
        place.ledger.verify()


def test_a_refused_entry_leaves_nothing_behind(place: Place) -> None:
    append(place.ledger, 1)
    for _ in range(3):
        with pytest.raises(LedgerError):
            append(place.ledger, 2, expected_head=7)
    assert append(place.ledger, 2).seq == 2


def test_a_ledger_that_vanished_is_not_taken_for_an_empty_one(place: Place) -> None:
    append(place.ledger, 1)
    if isinstance(place.place, Path):
        place.place.unlink()
    else:
        place.execute("DROP TABLE entries")
    reads: list[Callable[[], object]] = [place.ledger.head, place.ledger.entries, place.ledger.live_by_model]
    for read in reads:
        with pytest.raises(LedgerError, match="cannot be used"):
            read()


def test_a_database_that_does_not_answer_is_said_without_its_password() -> None:
    psycopg()
    with pytest.raises(LedgerError, match="cannot be used") as caught:
        Ledger(f"postgresql://user:secret@127.0.0.1:{free_ports(1)[0]}/ledger?connect_timeout=2")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
