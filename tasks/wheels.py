"""Files that installed wheels carry. Such a wheel is never imported: its `__init__` wants packages that are not installed here."""

import importlib.metadata
from pathlib import Path

from pipeline_config.errors import ModelError


def file_in_wheel(wheel: str, suffix: str) -> Path:
    """The first file of a wheel whose name ends so.

    Raises:
        ModelError: the wheel is not installed, or has no such file.
    """
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.endswith(suffix):
            return Path(str(file.locate()))
    raise ModelError(
        "the model is not installed", where=wheel, expected=f"a wheel with a file that ends in {suffix}", hint="run `make setup`"
    )
