"""The options that every command on a run takes, and how they are read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

Preset = Annotated[str, typer.Option("--preset", metavar="NAME", help="Starting point: demo, smoke, banking77 or replies.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file with the differences from the preset, or the config.json of a run."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Changes one key, e.g. training.epochs=1. Repeatable; several fit in one, divided by spaces."
    ),
]

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a finished run, its folder, or `latest`.")]
Rows = Annotated[
    int | None, typer.Option("--rows", min=1, metavar="N", help="How many more test rows; default: as many as the gates that hold ask for.")
]

Version = Annotated[
    str | None,
    typer.Argument(metavar="[VERSION]", help="Number or full name of a version; default: the one that was live before this one."),
]
PulledVersion = Annotated[str, typer.Argument(metavar="VERSION", help="Number or full name of a version.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it shall lie: an empty folder, or one that does not exist.")]
Merged = Annotated[bool, typer.Option("--merged", help="One merged model in place of base and adapter.")]
Precision = Annotated[
    Literal["bfloat16", "float32"] | None, typer.Option("--dtype", help="Precision of a merged model; default: as the base is served.")
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the ledger.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Registered model; needed only if there are several.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="A day (its end) or a time in ISO 8601, UTC unless it names a zone.")]

_BETWEEN = re.compile(r"\s+(?=[A-Za-z_][\w.\-]*=)")


def split_overrides(values: Sequence[str] | None) -> list[str]:
    """Splits `a=1 b=two words` into `a=1` and `b=two words`: a space divides only where the next KEY= follows."""
    return [part for value in values or () for part in _BETWEEN.split(value.strip()) if part]
