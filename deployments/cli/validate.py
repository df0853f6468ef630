"""`tunegate validate`: preparation alone, without any server."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline_config.environment import read_machine
from pipeline_config.errors import DataError
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData
from tasks.data.findings import DataReport
from tasks.files import DATA_PAGE, write_atomically
from tasks.methods.settings import settle

FINE, REFUSED = 0, 3
"""Exit codes."""


def validate(config: PipelineConfig) -> int:
    """Prepares the rows below `validate/` in the workspace, and prints and draws what became of them.

    The split file of earlier runs is read and stays as it is.

    Returns:
        0 if the data is fit, 3 if it is refused.

    Raises:
        ConfigError: Presidio is asked for and not installed, or does not know what it is asked for; or a metric, a schema or a judge's key
            that evaluation will need is not there, or an operator that augmentation requires.
    """
    from tasks.data.assignments import assignments_path, history_folder, read_assignments
    from tasks.data.prepare import prepare_data
    from tasks.data.template import template_of
    from tasks.embeddings import EmbeddedEmbedder
    from tasks.evaluate.custom import require_metrics
    from tasks.presidio import open_presidio

    notes = list(settle(config.training).notes)
    require_metrics(config.evaluation)
    if config.data.sensitive.presidio is not None:
        open_presidio(config.data.sensitive.presidio)  # so that it is known to be able before anything is read
    workspace = read_machine().workspace
    notes += _missing_operators(config, workspace)
    folder = workspace / "validate" / config_digest(config)[:16]
    history = history_folder(workspace, config.registry.model_name, config.data.split)
    recorded = read_assignments(assignments_path(history))
    try:
        template = template_of(config.model, workspace)
        prepared = prepare_data(config.data, template=template, folder=folder, recorded=recorded, embedder=EmbeddedEmbedder())
    except DataError as error:
        Console(stderr=True).print(f"data refused: {error}", markup=False, highlight=False, soft_wrap=True)
        return REFUSED
    _show(prepared, _draw(prepared, history), notes, Console())
    return FINE


def _missing_operators(config: PipelineConfig, workspace: Path) -> list[str]:
    if not config.augmentation.operators():
        return []
    from tasks.augment.catalogue import open_operators
    from tasks.augment.sentences import sentence_of_missing

    _, missing = open_operators(config.augmentation, config.model, workspace)
    return [sentence_of_missing(lacking) for lacking in missing]


def _draw(prepared: PreparedData, history: Path) -> DataReport:
    from tasks.data.history import drift_since_last_run
    from tasks.data.page import render_page
    from tasks.data.reporting import read_report

    report = read_report(prepared.folder)
    write_atomically(prepared.folder / DATA_PAGE, render_page(report, drift_since_last_run(history, report)).encode())
    return report


def _show(prepared: PreparedData, report: DataReport, notes: Sequence[str], console: Console) -> None:
    from tasks.data.quarantine import quarantine_path

    table = Table("rows", "count", title="data preparation")
    for name, count in prepared.counts.model_dump().items():
        table.add_row(name.replace("_", " "), str(count))
    for found in report.findings:
        if found.level != "warning":
            table.add_row(f"  {'quarantined' if found.level == 'removed' else 'noted'}: {found.code}", str(found.count))
    console.print(table)
    lines = [
        *(f"note        {note}" for note in notes),
        *(f"warning     {warning}" for warning in prepared.warnings),
        f"format      {report.format_reason}",
        f"labels      {_labels(prepared.labels)}",
        f"report      {prepared.folder / DATA_PAGE}",
        f"quarantine  {quarantine_path(prepared.folder)}",
        f"rows        {prepared.folder}",
    ]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _labels(labels: tuple[str, ...] | None) -> str:
    from tasks.data.locations import listed

    return "none: the answers are free text" if labels is None else f"{len(labels)}: {listed(labels)}"
