"""One preparation in a process of its own, so that its peak of memory is its own.

`python -m benchmarks.data_preparation SOURCE FOLDER [--instruction TEXT]` prepares, and writes a line of JSON (:class:`Cost`).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pipeline_config.data import DataConfig, SourceConfig
from pipeline_config.environment import read_machine
from pipeline_config.model import ModelConfig
from tasks.data.template import ChatTemplate, template_of

MAX_BAD_FRACTION = 0.9
"""The generated faults are meant: they must not stop the run."""


class Cost(TypedDict):
    """What a preparation took: seconds of the whole process and of `prepare_data` alone, and the process's peak of memory."""

    process_seconds: float
    seconds: float
    peak_bytes: int
    rows: int
    quarantined: int
    duplicates: int


def generated(source: Path, instruction: str | None = None) -> DataConfig:
    """How a generated table is read."""
    return DataConfig(source=SourceConfig(path=source, instruction=instruction), max_bad_fraction=MAX_BAD_FRACTION)


def embedded_template() -> ChatTemplate:
    """What rows have to fit: the embedded model, with its own tokenizer."""
    return template_of(ModelConfig(), read_machine().workspace)


def measure(source: Path, folder: Path, instruction: str | None = None) -> Cost:
    """Prepares a generated table in a fresh process.

    Raises:
        subprocess.CalledProcessError: the preparation failed; its words are on standard error.
    """
    own = ["--instruction", instruction] if instruction is not None else []
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.data_preparation", str(source), str(folder), *own],
        cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    cost: Cost = json.loads(done.stdout.splitlines()[-1])
    return {**cost, "process_seconds": seconds}


def prepare(source: Path, folder: Path, instruction: str | None) -> Cost:
    """Prepares in this process."""
    began = time.perf_counter()
    from tasks.data.prepare import prepare_data

    prepared = prepare_data(generated(source, instruction), template=embedded_template(), folder=folder)
    seconds = time.perf_counter() - began
    return {
        "process_seconds": seconds,
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
        "rows": prepared.counts.read,
        "quarantined": prepared.counts.quarantined,
        "duplicates": prepared.counts.duplicates,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_preparation", description="Prepares a generated table, and says what it took."
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instruction", help="a constant instruction in place of the table's own")
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(prepare(given.source, given.folder, given.instruction)) + "\n")


if __name__ == "__main__":
    main()
