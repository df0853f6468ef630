"""`tunegate review`: what waits, beside what is live."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.review import show_waiting
from pipeline_config.environment import Machine, read_machine
from pipeline_config.errors import LedgerError
from tasks.artifacts import Figures, JudgedFigures
from tasks.files import ledger_path
from tasks.ledger import Ledger
from tasks.registry.port import EVIDENCE_FOLDER, FIGURES, GATE_REPORT
from tasks.registry.reviewing import approval_tags
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate, make_config

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return read_machine({"TUNEGATE_WORKSPACE": str(tmp_path)})


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry", clock=lambda: START)


def add(registry: FakeRegistry, folder: Path, weights: str = "weights", figures: dict[str, Any] | None = None, **rules: Any) -> int:
    config = make_config(registry={"model_name": MODEL, "approval": "mlflow_review", **rules})
    tags = approval_tags(config.registry, "rita")
    version = Candidate(folder / weights, weights=weights, config=config, tags=tags).register(registry, weights)
    if figures is not None:
        text = JudgedFigures.model_validate({"rows": 400, "base": {"accuracy": 0.25}, **figures}).model_dump_json()
        (registry.files(MODEL, version) / EVIDENCE_FOLDER / FIGURES).write_text(text)
    return version


def shown(registry: FakeRegistry, machine: Machine, capsys: pytest.CaptureFixture[str], after: timedelta = timedelta(hours=1)) -> str:
    show_waiting(registry, Ledger(ledger_path(machine.workspace)), machine, START + after, None)
    return capsys.readouterr().out


def test_what_waits_is_shown_with_verdict_figures_gates_and_where_to_decide(
    registry: FakeRegistry, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(ledger_path(machine.workspace)).append(
        model_name=MODEL, version=1, adapter_name="routing-v1", artifact_digest="a", gate_report_digest="b", actor="anna",
        policy="auto", reason="good", expected_head=0,
    )  # fmt: skip
    add(registry, tmp_path, "live")
    figures = {"tuned": Figures(values={"accuracy": 0.875}), "champion": Figures(values={"accuracy": 0.75}), "champion_name": "routing-v1"}
    add(registry, tmp_path, "next", figures)
    out = shown(registry, machine, capsys)
    assert "routing-v2: pass" in out
    assert "routing-v1: pass" not in out
    assert "live now: routing-v1; requested by rita, 7 days left" in out
    assert next(line for line in out.splitlines() if "champion routing-v1" in line)
    assert [cell in out for cell in ("0.875", "0.75", "0.25")] == [True] * 3
    assert "overfitting" in "".join(out.split())
    assert "set tag approval_status to exactly approved or rejected" in out
    assert "models/routing/versions/2" in out
    assert "not live any more" not in out


def test_a_champion_that_is_not_live_any_more_is_said(
    registry: FakeRegistry, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"tuned": Figures(), "champion": Figures(values={"accuracy": 0.75}), "champion_name": "routing-v0"}
    add(registry, tmp_path, figures=figures)
    assert "compared with routing-v0, which is not live any more" in shown(registry, machine, capsys)


def test_without_figures_or_report_the_rest_is_shown(
    registry: FakeRegistry, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = add(registry, tmp_path, approval_expires_hours=None)
    (registry.files(MODEL, version) / EVIDENCE_FOLDER / GATE_REPORT).write_text("{")
    out = shown(registry, machine, capsys)
    assert "routing-v1: pass" in out
    assert "for ever" in out


def test_nothing_that_waits_is_said(registry: FakeRegistry, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(registry, tmp_path, approval_expires_hours=0.5)
    assert shown(registry, machine, capsys) == f"nothing awaits a decision at {machine.mlflow_url}\n"


def test_a_tampered_ledger_shows_nothing(registry: FakeRegistry, machine: Machine, tmp_path: Path) -> None:
    ledger = Ledger(ledger_path(machine.workspace))
    add(registry, tmp_path)
    for number in (0, 1):
        ledger.append(
            model_name=MODEL, version=9, adapter_name="routing-v9", artifact_digest="a", gate_report_digest="b", actor="anna",
            policy="auto", reason="good", expected_head=number,
        )  # fmt: skip
    with sqlite3.connect(ledger_path(machine.workspace)) as connection:
        connection.execute("DROP TRIGGER entries_never_change")
        connection.execute("UPDATE entries SET actor = 'otto' WHERE seq = 1")
    with pytest.raises(LedgerError, match="entry 1"):
        show_waiting(registry, ledger, machine, START, None)
