"""`tunegate review`: what awaits a decision, with what a reviewer weighs and where to decide."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from pipeline_config.environment import Machine
from tasks.artifacts import GateReport, JudgedFigures, Record
from tasks.files import RUN_PAGE, run_folder
from tasks.ledger import Ledger, open_ledger
from tasks.registry.approval import what_to_do
from tasks.registry.port import EVIDENCE_FOLDER, FIGURES, GATE_REPORT, REQUESTER_TAG, RUN_TAG, VERDICT_TAG, Registry
from tasks.registry.reviewing import Waiting, waiting

T = TypeVar("T", bound=Record)


def review(machine: Machine, model_name: str | None) -> int:
    """Prints what waits; returns how many versions do.

    Args:
        model_name: one model only; null: all.

    Raises:
        LedgerError: the ledger was tampered with.
        RegistryError: MLflow does not answer.
    """
    from tasks.registry.mlflow_registry import MlflowRegistry

    machine.apply()
    return show_waiting(
        MlflowRegistry(machine.mlflow_url), open_ledger(machine.workspace, machine.ledger_url), machine, datetime.now(UTC), model_name
    )


def show_waiting(registry: Registry, ledger: Ledger, machine: Machine, now: datetime, model_name: str | None) -> int:
    """As :func:`review`, on a registry and a ledger at a time."""
    ledger.verify()
    found = waiting(registry, ledger.entries(), now, model_name)
    console = Console(soft_wrap=True, highlight=False)
    for one in found:
        _show(one, registry, ledger, machine, now, console)
    if not found:
        print(f"nothing awaits a decision at {machine.mlflow_url}")
    return len(found)


def _show(one: Waiting, registry: Registry, ledger: Ledger, machine: Machine, now: datetime, console: Console) -> None:
    listed, live = one.listed, ledger.live(one.listed.model_name)
    champion = (live.adapter_name if live else None) or "nothing is live"
    left = "for ever" if one.until is None else f"{_span(one.until - now)} left"
    console.rule(f"{listed.adapter_name}: {listed.tags.get(VERDICT_TAG)}", align="left")
    console.print(f"live now: {champion}; requested by {listed.tags.get(REQUESTER_TAG, 'nobody known')}, {left}", markup=False)
    figures = _read(registry, one, FIGURES, JudgedFigures)
    if figures is not None:
        console.print(_figures_table(figures))
        if figures.champion_name is not None and figures.champion_name != champion:
            console.print(f"it was compared with {figures.champion_name}, which is not live any more", markup=False)
    report = _read(registry, one, GATE_REPORT, GateReport)
    if report is not None:
        console.print(_gates_table(report))
    page = run_folder(machine.workspace, listed.tags.get(RUN_TAG, "")) / RUN_PAGE
    lines = [what_to_do(one.policy, one.until), f"page: {registry.url(listed.model_name, listed.version)}"]
    lines += [f"report: {page}"] if page.is_file() else []
    lines += [f"promotion runs: {machine.prefect_ui_url}/deployments"] if one.policy == "prefect_input" else []
    console.print("\n".join(lines), markup=False)
    console.print()


def _read(registry: Registry, one: Waiting, name: str, kind: type[T]) -> T | None:
    content = registry.read(one.listed.model_name, one.listed.version, f"{EVIDENCE_FOLDER}/{name}")
    try:
        return None if content is None else kind.model_validate_json(content)
    except ValidationError:
        return None  # promotion refuses what it cannot read; here it is only not shown


def _figures_table(figures: JudgedFigures) -> Table:
    contenders = {"this version": figures.tuned, "base": figures.base}
    if figures.champion is not None:
        contenders = {
            "this version": figures.tuned,
            f"champion {figures.champion_name or ''}".strip(): figures.champion,
            "base": figures.base,
        }
    names = dict.fromkeys(name for found in contenders.values() for name, value in found.values.items() if value is not None)
    table = Table(f"on {figures.rows} test rows", *contenders)
    for name in names:
        table.add_row(name, *(_number(found.get(name)) for found in contenders.values()))
    return table


def _gates_table(report: GateReport) -> Table:
    table = Table("gate", "outcome", "value", "interval", "threshold", "reason")
    for gate in report.gates:
        interval = "" if gate.interval is None else f"{gate.interval[0]:+.3f} to {gate.interval[1]:+.3f}"
        table.add_row(gate.name, gate.outcome, _number(gate.value), interval, _number(gate.threshold), gate.reason)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _span(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
