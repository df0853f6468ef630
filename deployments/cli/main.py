"""The console script `tunegate`. Every make target only wraps it."""

import sys

import typer

from deployments.cli.options import EXIT_ERROR, ConfigFile, Overrides, Preset, exit_with, split_overrides
from pipeline_config.environment import read_machine

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Fine-tuning behind gates.")
config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
app.add_typer(config_app, name="config")


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command()
def run(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """The main job: data to production, if the gates pass.

    Exits 0 live, 1 error, 2 wrong configuration, 3 a gate failed, 4 held, 5 awaiting approval.
    """

    def action() -> int:
        from deployments.cli.run import run as run_pipeline

        return run_pipeline(preset, config, split_overrides(overrides), read_machine())

    exit_with(action)


@app.command()
def validate(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Check the data and stop there. Exits 0 fit, 3 refused, 2 wrong configuration."""

    def action() -> int:
        from pipeline_config.loading import load_config

        loaded = load_config(preset, config, split_overrides(overrides))
        from deployments.cli.validate import validate as validate_data

        return validate_data(loaded)

    exit_with(action)


@app.command()
def up() -> None:
    """Start Prefect, its worker, MLflow and the model server, whatever of them is not up."""

    def action() -> int:
        from deployments.services.lifecycle import up as start

        start(read_machine(), _say)
        return 0

    exit_with(action)


@app.command()
def down() -> None:
    """Stop exactly what `up` started."""

    def action() -> int:
        from deployments.services.lifecycle import down as stop

        if not stop(read_machine(), _say):
            _say("nothing was running")
        return 0

    exit_with(action)


@app.command()
def status() -> None:
    """Say what is up, and where. Exits 1 if anything is not."""

    def action() -> int:
        from deployments.services.lifecycle import status as look

        found = look(read_machine())
        for service in found:
            state = "up" if service.healthy else "down"
            print(
                f"{service.name:13} {state:5} {service.url}" + ("" if service.ours else "  (not started here)" if service.healthy else "")
            )
        return 0 if all(service.healthy for service in found) else EXIT_ERROR

    exit_with(action)


@app.command()
def deploy() -> None:
    """Register the Prefect deployments; services are started if they are not up."""

    def action() -> int:
        from deployments.registration import register_deployments
        from deployments.services.lifecycle import up as start

        machine = read_machine()
        start(machine, _say)
        register_deployments(machine, _say)
        print(f"deployments: {machine.prefect_ui_url}/deployments")
        return 0

    exit_with(action)


@config_app.command()
def show(preset: Preset = "demo", config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Print the configuration that a run would use, as YAML, with its digest."""

    def action() -> int:
        import yaml

        from pipeline_config.loading import config_digest, load_config

        loaded = load_config(preset, config, split_overrides(overrides))
        print(f"# digest {config_digest(loaded)}")
        print(yaml.safe_dump(loaded.as_json(), sort_keys=False, allow_unicode=True), end="")
        return 0

    exit_with(action)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
