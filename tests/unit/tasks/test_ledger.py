"""The ledger keeps what was decided, in order, and any later change of it is found."""

import itertools
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_config.errors import LedgerError
from tasks.files import sha256_json
from tasks.ledger import GENESIS, RECONCILE, REJECTION, ROLLBACK, UNDO, Entry, Ledger, live_at, standing, standing_if_undone

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def append(
    ledger: Ledger, version: int | None = 1, model_name: str = "routing", *, expected_head: int | None = None, **fields: Any
) -> Entry:
    head = ledger.head()
    values: dict[str, Any] = {
        "adapter_name": f"{model_name}-v{version}" if version else None,
        "artifact_digest": "a" * 64 if version else None,
        "gate_report_digest": "b" * 64 if version else None,
        "actor": "policy auto (no person)",
        "policy": "auto",
        "reason": "all gates passed",
        **fields,
    }
    seen = (head.seq if head else 0) if expected_head is None else expected_head
    return ledger.append(model_name=model_name, version=version, expected_head=seen, **values)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    moments = (NOON + timedelta(minutes=number) for number in itertools.count())
    return Ledger(tmp_path / "ledger.sqlite", clock=lambda: next(moments))


def test_an_empty_ledger_has_no_head(ledger: Ledger) -> None:
    assert ledger.head() is None
    assert ledger.live("routing") is None
    assert ledger.verify() == 0


def test_entries_are_chained_in_order_with_the_time_of_the_clock(ledger: Ledger) -> None:
    first, second = append(ledger, 1), append(ledger, 2)
    assert (first.seq, first.previous_hash, first.at) == (1, GENESIS, "2026-11-01T12:00:00+00:00")
    assert (second.seq, second.previous_hash, second.at) == (2, first.hash, "2026-11-01T12:01:00+00:00")
    assert ledger.entries() == [first, second]
    assert ledger.verify() == 2


def test_times_are_stored_in_utc(tmp_path: Path) -> None:
    berlin = datetime.fromisoformat("2026-11-01T13:00:00+01:00")
    assert append(Ledger(tmp_path / "ledger.sqlite", clock=lambda: berlin)).at == "2026-11-01T12:00:00+00:00"


def test_each_model_has_its_own_live_version_and_the_head_is_the_last_of_all(ledger: Ledger) -> None:
    first, other, cleared = append(ledger, 1), append(ledger, 7, "intents"), append(ledger, None)
    assert ledger.live("intents") == other
    assert ledger.live("routing") == cleared == ledger.head()
    assert first.version == 1
    assert cleared.version is None
    assert ledger.live_by_model() == {"intents": other, "routing": cleared}


def test_a_writer_that_has_not_seen_the_head_is_refused(ledger: Ledger) -> None:
    append(ledger)
    with pytest.raises(LedgerError, match="moved on to entry 1"):
        append(ledger, 2, expected_head=0)
    assert len(ledger.entries()) == 1


def test_of_writers_that_saw_the_same_head_one_wins(ledger: Ledger) -> None:
    lost: list[LedgerError] = []

    def promote(version: int) -> None:
        try:
            append(ledger, version, expected_head=0)
        except LedgerError as error:
            lost.append(error)

    threads = [threading.Thread(target=promote, args=(version,)) for version in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 7
    assert all("moved on to entry 1" in str(error) for error in lost)
    assert ledger.verify() == 1


def test_a_reader_sees_the_last_committed_head_while_another_writes(ledger: Ledger) -> None:
    first = append(ledger)
    writer = sqlite3.connect(ledger.where, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(
        "INSERT INTO entries SELECT 2, at, model_name, 9, adapter_name, null, null, actor, policy, reason, hash, hash, null FROM entries"
    )
    assert Ledger(Path(ledger.where)).head() == first
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET version = 9",
        "DELETE FROM entries",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries",
        "INSERT INTO entries SELECT 5, at, model_name, 9, adapter_name, null, null, actor, policy, reason, hash, hash, null FROM entries",
    ],
)
def test_the_database_itself_refuses_changes(ledger: Ledger, statement: str) -> None:
    append(ledger)
    with sqlite3.connect(ledger.where) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


def test_a_ledger_that_vanished_is_not_taken_for_an_empty_one(ledger: Ledger) -> None:
    append(ledger)
    Path(ledger.where).unlink()
    with pytest.raises(LedgerError, match="cannot be used"):
        ledger.head()


@pytest.mark.parametrize("removed", [1, 2])
def test_a_removed_entry_is_found(ledger: Ledger, removed: int) -> None:
    for version in (1, 2, 3):
        append(ledger, version)
    tamper(ledger, f"DELETE FROM entries WHERE seq = {removed}")
    with pytest.raises(LedgerError, match=f"entry {removed} "):
        ledger.verify()


def test_an_entry_rewritten_with_a_fitting_hash_breaks_the_next_one(ledger: Ledger, tmp_path: Path) -> None:
    append(ledger, 1)
    append(ledger, 2)
    forged = append(Ledger(tmp_path / "forged.sqlite", clock=lambda: NOON), 9)
    columns = ", ".join(f"{name} = :{name}" for name in Entry.model_fields)
    tamper(ledger, f"UPDATE entries SET {columns} WHERE seq = 1", forged.model_dump())
    with pytest.raises(LedgerError, match=r"entry 2 .*does not follow"):
        ledger.verify()


def test_a_tampered_head_is_not_believed(ledger: Ledger) -> None:
    append(ledger)
    tamper(ledger, "UPDATE entries SET version = 9")
    for read in (ledger.head, lambda: ledger.live("routing"), ledger.entries, lambda: append(ledger, 2, expected_head=1)):
        with pytest.raises(LedgerError, match="entry 1 "):
            read()


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_any_field_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite", clock=lambda: NOON)
    count = data.draw(st.integers(1, 3))
    for number in range(1, count + 1):
        about = data.draw(st.none() | TEXTS)
        append(ledger, data.draw(st.sampled_from([number, None])), actor=data.draw(TEXTS), reason=data.draw(TEXTS), concerns=about)
    seq = data.draw(st.integers(1, count))
    field = data.draw(st.sampled_from(list(Entry.model_fields)))
    old = getattr(ledger.entries()[seq - 1], field)
    with_change = data.draw(changed(old))
    tamper(ledger, f"UPDATE entries SET {field} = {with_change[0]} WHERE seq = {seq}", with_change[1])
    with pytest.raises(LedgerError, match=f"entry {seq} "):
        ledger.verify()


@st.composite
def changed(draw: st.DrawFn, old: str | int | None) -> tuple[str, dict[str, Any]]:
    """SQL for another value of a field, and its parameters: one byte of a text flipped, put in or cut off; another number."""
    if not isinstance(old, str):
        return ":new", {"new": draw(st.integers(10, 2**40))}
    content = bytearray(old.encode())
    if content and draw(st.booleans()):
        place = draw(st.integers(0, len(content) - 1))
        content[place] ^= draw(st.integers(1, 255))
    else:
        content.insert(draw(st.integers(0, len(content))), draw(st.integers(1, 255)))
    return "CAST(:new AS TEXT)", {"new": bytes(content)}


def tamper(ledger: Ledger, statement: str, values: dict[str, Any] | None = None) -> None:
    """What somebody with the file and an editor for it can do."""
    with sqlite3.connect(ledger.where) as connection:
        for trigger in ("entries_never_change", "entries_never_go", "entries_only_follow"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement, values or {})
    connection.close()


def test_bytes_that_are_no_text_are_not_taken_for_the_sign_that_stands_for_them(ledger: Ledger) -> None:
    append(ledger, reason="\N{REPLACEMENT CHARACTER}")
    tamper(ledger, "UPDATE entries SET reason = CAST(x'ff' AS TEXT)")
    with pytest.raises(LedgerError, match="entry 1 "):
        ledger.verify()


def test_an_undo_takes_itself_and_the_decision_before_it_away(ledger: Ledger) -> None:
    first = append(ledger, 1)
    append(ledger, 7, "intents")
    second = append(ledger, 2)
    assert standing(ledger.entries(), "routing") == [first, second]
    append(ledger, 1, policy=UNDO)
    assert standing(ledger.entries(), "routing") == [first]
    append(ledger, None, policy=UNDO)
    assert standing(ledger.entries(), "routing") == []


def test_a_rollback_takes_everything_since_its_version_away_and_an_undo_brings_it_back(ledger: Ledger) -> None:
    first, second, third = (append(ledger, version) for version in (1, 2, 3))
    back = append(ledger, 2, policy=ROLLBACK)
    assert standing(ledger.entries(), "routing") == [first, back]
    assert standing_if_undone(ledger.entries(), "routing") == [first, second, third]
    append(ledger, 3, policy=UNDO)
    assert standing(ledger.entries(), "routing") == [first, second, third]


def test_a_rollback_to_a_version_that_no_longer_stands_follows_what_does(ledger: Ledger) -> None:
    first, _ = append(ledger, 1), append(ledger, 2)
    append(ledger, 1, policy=UNDO)
    again = append(ledger, 2, policy=ROLLBACK)
    assert standing(ledger.entries(), "routing") == [first, again]


def test_nothing_stands_before_the_first_decision(ledger: Ledger) -> None:
    assert standing_if_undone(ledger.entries(), "routing") == []
    append(ledger, 1)
    assert standing_if_undone(ledger.entries(), "routing") == []


@pytest.mark.parametrize("policy", [REJECTION, RECONCILE])
def test_a_remark_repeats_what_is_live_and_changes_no_answer(ledger: Ledger, policy: str) -> None:
    decision = append(ledger, 1)
    other = append(ledger, 7, "intents")
    remark = ledger.remark(model_name="routing", policy=policy, actor="a person", reason="no", concerns="routing-v2", expected_head=2)
    assert (remark.version, remark.adapter_name, remark.artifact_digest, remark.concerns) == (1, "routing-v1", "a" * 64, "routing-v2")
    assert ledger.head() == remark
    assert ledger.newest() == other
    assert (
        ledger.live("routing")
        == decision
        == ledger.live_by_model()["routing"]
        == live_at(ledger.entries(), NOON + timedelta(days=1))["routing"]
    )
    assert standing(ledger.entries(), "routing") == standing_if_undone([*ledger.entries(), append(ledger, 2)], "routing") == [decision]
    assert ledger.verify() == 4


def test_a_remark_on_a_model_that_was_never_live_makes_nothing_live(ledger: Ledger) -> None:
    remark = ledger.remark(model_name="routing", policy=REJECTION, actor="a person", reason="no", concerns="routing-v1", expected_head=0)
    assert (remark.version, remark.adapter_name, remark.artifact_digest, remark.gate_report_digest) == (None, None, None, None)
    assert ledger.live("routing") is ledger.newest() is None
    assert ledger.live_by_model() == {}


def test_a_ledger_from_before_there_were_remarks_verifies_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    content = {**append(Ledger(tmp_path / "other.sqlite", clock=lambda: NOON)).model_dump(exclude={"concerns", "hash"}), "reason": "old"}
    content["hash"] = sha256_json(content)
    text, kinds = "TEXT", {"seq": "INTEGER PRIMARY KEY", "version": "INTEGER"}
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE entries ({', '.join(f'{name} {kinds.get(name, text)}' for name in content)}) STRICT")
        connection.execute(f"INSERT INTO entries VALUES ({', '.join(f':{name}' for name in content)})", content)
    connection.close()
    ledger = Ledger(path)
    append(ledger, 2, concerns="routing-v1")
    assert [entry.concerns for entry in ledger.entries()] == [None, "routing-v1"]
    assert Ledger(path).verify() == 2
