"""The console script `tunegate`. Every make target only wraps one of its commands.

Heavy modules are imported inside the commands: `--help` and faults of the configuration need none of them.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from deployments.cli.options import (
    At,
    ConfigFile,
    Folder,
    Merged,
    Model,
    Overrides,
    Precision,
    Preset,
    PulledVersion,
    Rows,
    Run,
    Version,
    Why,
    split_overrides,
)
from pipeline_config.environment import read_machine
from pipeline_config.errors import ConfigError, TunegateError

if TYPE_CHECKING:
    from deployments.services.lifecycle import ServiceStatus

EXIT_ERROR, EXIT_CONFIG = 1, 2

app = typer.Typer(
    help="Fine-tuning whose production step opens only when the gates pass.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")


def main() -> None:
    """Runs the command line; a deliberate error is one message on standard error and an exit code, never a stack trace."""
    try:
        app()
    except TunegateError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_ERROR)


@app.command()
def run(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Run the main job, from rows to production.

    Exits 0 when the version is live, 3 when a gate failed, 4 for want of evidence, 5 when it awaits approval, 6 when it was rejected, 1
    after an error and 2 for a wrong configuration.
    """
    from deployments.cli.run import run as run_job

    raise typer.Exit(run_job(preset, config, split_overrides(overrides), read_machine()))


@app.command()
def validate(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Check the configuration and the data, and stop there. Exits 0 when the data is fit, 3 when it is refused."""
    from pipeline_config.loading import load_config

    loaded = load_config(preset, config, split_overrides(overrides))
    from deployments.cli.validate import validate as validate_data

    raise typer.Exit(validate_data(loaded))


@app.command()
def gates(run: Run, config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Judge a finished run again, by its own configuration or with changes, in seconds and without a model.

    The new report names the run's and opens nothing. Exits 0 for pass, 3 for fail and 4 for hold.
    """
    from deployments.cli.gates import judge_again

    raise typer.Exit(judge_again(run, config, split_overrides(overrides), read_machine()))


@app.command()
def topup(run: Run, rows: Rows = None) -> None:
    """Judge a held run's artifact once more on more test rows, as a new run. Exits as `run` does.

    All rows are judged, at 0.01 in place of 0.025, and the report says that it is a second look.
    """
    from deployments.cli.topup import top_up

    raise typer.Exit(top_up(run, rows, read_machine()))


@app.command()
def rollback(why: Why, version: Version = None, model: Model = None) -> None:
    """Make a version live again that was live before, by default the one before this one. Exits 0 when it is served.

    Its files are verified again, the ledger records who and why, and nobody is asked.
    """
    from deployments.cli.rollback import roll_back

    raise typer.Exit(roll_back(version, why, model, read_machine()))


@app.command()
def pull(version: PulledVersion, folder: Folder, merged: Merged = False, dtype: Precision = None, model: Model = None) -> None:
    """Lay a version and its base out in a folder, for use without tunegate, after its files were verified.

    A merged model is kept only if it answers 50 test rows as the adapter does. Otherwise the folder is left as it was.
    """
    from deployments.cli.pull import pull_version

    pull_version(version, folder, model, read_machine(), merged=merged, dtype=dtype)


@app.command()
def review(model: Model = None) -> None:
    """List what awaits a decision, with verdict, figures beside the champion's, gates, and where to decide."""
    from deployments.cli.review import review as show_what_waits

    show_what_waits(read_machine(), model)


@app.command()
def ledger(at: At = None, model: Model = None) -> None:
    """Verify the production ledger and print it, or what was live at a time. Exits 1 if it was tampered with."""
    from deployments.cli.ledger import show_ledger

    show_ledger(read_machine(), model, at)


@app.command()
def up() -> None:
    """Start Prefect, a worker, MLflow and the model server; leave alone what runs."""
    from deployments.services.lifecycle import up as bring_up

    _show(bring_up(read_machine(), _say))


@app.command()
def down() -> None:
    """Stop what `up` started, and nothing else."""
    from deployments.services.lifecycle import down as take_down

    take_down(read_machine(), _say)


@app.command()
def status() -> None:
    """Say what is up, and where. Exits 1 unless everything is."""
    from deployments.services.lifecycle import status as look

    services = look(read_machine())
    _show(services)
    raise typer.Exit(0 if all(service.state == "up" for service in services) else EXIT_ERROR)


@app.command()
def deploy() -> None:
    """Register the Prefect deployments, with the local services up."""
    from deployments.registration import register_deployments
    from deployments.services.lifecycle import up as bring_up

    machine = read_machine()
    if machine.own_prefect_url is None:
        bring_up(machine, _say)
    if not register_deployments(machine, _say):
        print(f"nothing has changed since the deployments were registered: {machine.prefect_ui_url}/deployments")


@config_app.command("show")
def config_show(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Print every key of the configuration that a run would use, as YAML, with its digest."""
    import yaml

    from pipeline_config.loading import config_digest, load_config
    from tasks.methods.settings import settle

    loaded = load_config(preset, config, split_overrides(overrides))
    settled = settle(loaded.training)
    print(f"# digest: {config_digest(loaded)}")
    for note in settled.notes:
        print(f"# note: {note}")
    filled = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in settled.filled.items()]
    print(f"# {loaded.training.method} trains with {', '.join(filled)}")
    print(yaml.safe_dump(loaded.as_json(), sort_keys=False, allow_unicode=True), end="")


def _show(services: "Sequence[ServiceStatus]") -> None:
    for service in services:
        notes = [f"process {service.pid}"] if service.pid else []
        if service.detail:
            notes += [service.detail, *([f"log: {service.log}"] if service.log else [])]
        print(f"{service.name:<13} {service.state:<7} {service.url}  {'; '.join(notes)}".rstrip())


def _say(text: str) -> None:
    print(text, file=sys.stderr)
