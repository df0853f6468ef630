"""`tunegate ledger` and what `tunegate rollback` understands."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.cli.ledger import read_moment, show_ledger
from deployments.cli.rollback import read_target
from pipeline_config.environment import Machine
from pipeline_config.errors import ConfigError, LedgerError
from tasks.files import ledger_path
from tasks.ledger import Ledger
from tests.machines import scratch_machine

START = datetime(2026, 10, 30, 12, tzinfo=UTC)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Version n of `routing` goes live on the n-th day."""
    moments = iter(START + timedelta(days=day) for day in range(9))
    ledger = Ledger(ledger_path(tmp_path), clock=lambda: next(moments))
    for version in (1, 2, 3):
        ledger.append(
            model_name="routing", version=version, adapter_name=f"routing-v{version}", artifact_digest=f"{version}" * 64,
            gate_report_digest="b" * 64, actor="a person", policy="mlflow_review", reason=f"reason {version}", expected_head=version - 1,
        )  # fmt: skip
    return scratch_machine(tmp_path)


def test_every_decision_is_printed_with_who_and_why(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    show_ledger(machine, None, None)
    out = capsys.readouterr().out
    for version in (1, 2, 3):
        assert f"routing-v{version}" in out
        assert f"reason {version}" in out
    assert "3 entries, each follows the one before it" in out
    assert "whether its end was cut off could not be checked" in out


@pytest.mark.parametrize(("at", "live"), [("2026-10-31", 2), ("2026-10-31T11:59:59", 1), ("2026-10-31T13:00+02:00", 1), ("2027-01-01", 3)])
def test_what_was_live_at_a_time_is_one_line(machine: Machine, capsys: pytest.CaptureFixture[str], at: str, live: int) -> None:
    show_ledger(machine, None, at)
    out = capsys.readouterr().out
    assert [version for version in (1, 2, 3) if f"routing-v{version}" in out] == [live]


def test_before_the_first_decision_nothing_was_live(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    show_ledger(machine, None, "2026-10-29")
    assert "routing-v" not in capsys.readouterr().out


def test_a_tampered_ledger_prints_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(ledger_path(machine.workspace)) as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("UPDATE entries SET reason = 'another' WHERE seq = 2")
    connection.close()
    with pytest.raises(LedgerError, match="entry 2"):
        show_ledger(machine, None, None)
    assert capsys.readouterr().out == ""


def test_what_is_no_time_is_one_error() -> None:
    with pytest.raises(ConfigError, match="'yesterday' is no time"):
        read_moment("yesterday")


@pytest.mark.parametrize(
    ("version", "model", "meant"),
    [(None, None, ("routing", None)), ("3", None, ("routing", 3)), ("routing-v3", None, ("routing", 3)), ("3", "other", ("other", 3))],
)
def test_a_version_is_meant_by_number_or_name(version: str | None, model: str | None, meant: tuple[str, int | None]) -> None:
    assert read_target(version, model, ["routing"]) == meant


@pytest.mark.parametrize(
    ("version", "model", "known"), [("3", None, ["a", "b"]), ("a-v3", "b", ["a", "b"]), ("v3", None, ["a"]), (None, None, [])]
)
def test_what_is_not_clear_is_refused(version: str | None, model: str | None, known: list[str]) -> None:
    with pytest.raises(ConfigError):
        read_target(version, model, known)
