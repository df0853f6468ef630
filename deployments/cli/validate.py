"""`tunegate validate`: preparation alone, without any server."""

from rich.console import Console
from rich.table import Table

from pipeline_config.environment import read_machine
from pipeline_config.errors import DataError
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData

FINE, REFUSED = 0, 3
"""Exit codes."""


def validate(config: PipelineConfig) -> int:
    """Prepares the rows below `validate/` in the workspace and prints what became of them.

    Returns:
        0 if the data is fit, 3 if it is refused.
    """
    from tasks.chat import count_tokens_of
    from tasks.data.lengths import lazy_counter
    from tasks.data.prepare import prepare_data

    workspace = read_machine().workspace
    folder = workspace / "validate" / config_digest(config)[:16]
    count_tokens = lazy_counter(lambda: count_tokens_of(config.model, workspace))
    try:
        prepared = prepare_data(config.data, max_length=config.model.max_length, count_tokens=count_tokens, folder=folder)
    except DataError as error:
        Console(stderr=True).print(f"data refused: {error}", markup=False, highlight=False, soft_wrap=True)
        return REFUSED
    _show(prepared, Console())
    return FINE


def _show(prepared: PreparedData, console: Console) -> None:
    from tasks.data.quarantine import count_by_code, quarantine_path
    from tasks.data.sensitive import reported_kinds

    table = Table("rows", "count", title="data preparation")
    for name, count in prepared.counts.model_dump().items():
        table.add_row(name.replace("_", " "), str(count))
    for kind, count in reported_kinds(prepared.folder).items():
        table.add_row(f"  kept, with {kind}", str(count))
    for code, count in count_by_code(prepared.folder).items():
        table.add_row(f"  quarantined: {code}", str(count))
    console.print(table)
    lines = [
        f"labels      {_labels(prepared.labels)}",
        f"quarantine  {quarantine_path(prepared.folder)}",
        f"rows        {prepared.folder}",
    ]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _labels(labels: tuple[str, ...] | None) -> str:
    from tasks.data.locations import listed

    return "none: the answers are free text" if labels is None else f"{len(labels)}: {listed(labels)}"
