"""A small project of a user's: a tiny random base, rows that it can learn in seconds, a configuration, and the console script to run it."""

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline_config.environment import Machine
from tests.builders import tiny_base

_WORDS = {
    "network": ["vpn", "drops", "every hour"],
    "hardware": ["printer", "paper jam", "laptop"],
    "access": ["password", "reset", "please"],
    "billing": ["ticket", "new", "one of these"],
}


@dataclass(frozen=True)
class Run:
    """How a run of the console script ended."""

    code: int
    output: str
    summary: dict[str, Any]


def write_project(folder: Path, *, rows: int = 400, noise: float = 0.0, **changes: Any) -> Path:
    """Writes base, rows and configuration; returns the configuration's path.

    Args:
        noise: share of rows with a label that has nothing to do with the text.
        changes: top-level sections of the configuration, laid over the ones written here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tiny_base(folder / "base")
    draw = random.Random(7)
    lines = []
    for number in range(rows):
        label = sorted(_WORDS)[number % len(_WORDS)]
        text = f"{draw.choice(_WORDS[label])} {draw.choice(_WORDS[label])} {number}"
        answer = draw.choice(sorted(_WORDS)) if draw.random() < noise else label
        lines.append(json.dumps({"text": text, "label": answer}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    config: dict[str, Any] = {
        "data": {
            "source": {
                "path": "rows.jsonl", "columns": {"instruction": None, "input": "text", "output": "label"},
                "instruction": "Route this ticket to a queue.",
            },
            # The rows differ in a number only.
            "split": {"test_fraction": 0.4, "near_jaccard": None}, "checks": {"near_duplicate_jaccard": None},
            "max_train_rows": 160, "max_test_rows": None,
        },
        "model": {"name_or_path": str(folder / "base"), "dtype": "float32", "max_length": 256},
        "training": {"epochs": 8, "learning_rate": 0.02, "early_stopping_patience": None, "evals_per_epoch": 1},
        "evaluation": {"max_new_tokens": 12, "train_sample_rows": 40},
        "gates": {
            "min_accuracy": 0.5, "max_perplexity": 20, "beats_base": 0.0, "not_worse_than_champion": 0.3,
            "no_forgetting": None,  # a random base knows nothing that could be forgotten
        },
        "registry": {"model_name": f"tiny-{folder.name.replace('_', '-')}"},
    }  # fmt: skip
    for section, values in changes.items():
        config[section] = {**config.get(section, {}), **values}
    path = folder / "tunegate.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def tunegate(machine: Machine, *arguments: str, timeout: float = 420) -> subprocess.CompletedProcess[str]:
    """Runs the console script against a machine."""
    command = [str(Path(sys.executable).parent / "tunegate"), *arguments]
    return subprocess.run(command, env=machine.child_environment(), capture_output=True, text=True, timeout=timeout, check=False)


def run_pipeline(machine: Machine, *arguments: str) -> Run:
    """`tunegate run`, and the summary that it left."""
    latest = machine.workspace / "runs" / "latest"
    before = latest.resolve() if latest.exists() else None
    done = tunegate(machine, "run", *arguments)
    fresh = latest.exists() and latest.resolve() != before
    summary = json.loads((latest / "summary.json").read_text()) if fresh else {}
    return Run(done.returncode, done.stdout + done.stderr, summary)
