"""The options that every run target shares, and how an error becomes an exit code."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pipeline_config.errors import ConfigError, TunegateError

EXIT_ERROR, EXIT_BAD_CONFIGURATION = 1, 2

Preset = Annotated[str, typer.Option("--preset", help="Starting point; a file in pipeline_config/presets.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with the differences from the preset.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrides, such as training.epochs=1; repeat it, or separate by spaces."),
]


def split_overrides(values: list[str] | None) -> list[str]:
    """`make` hands several overrides on as one text; a space begins a new one only where KEY= follows."""
    words: list[str] = []
    for value in values or []:
        for word in value.split():
            if "=" in word or not words:
                words.append(word)
            else:
                words[-1] += f" {word}"
    return words


def exit_with(action: Callable[[], int]) -> None:
    """Runs a command; a deliberate error is printed once, without a stack trace, and becomes the exit code.

    Raises:
        typer.Exit: always.
    """
    try:
        code = action()
    except TunegateError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_BAD_CONFIGURATION if isinstance(error, ConfigError) else EXIT_ERROR
    raise typer.Exit(code)
