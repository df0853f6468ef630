"""The benchmark of methods: all seven on Banking77 with default settings, through the pipeline's own stages.

`make bench-methods` writes `benchmarks/results/methods.json`, `docs/reference/methods.md` and its plot, and fails if a bar does not hold.
`BANKING77_DIR` names the folder with Banking77's train.csv and test.csv. Each method is a process of its own and leaves its result under
`benchmarks/methods` in the workspace, by its settings: a run that was killed goes on where it was, a training from its checkpoint. With
`--quick`, a few rows of the methods named with `--only`; its figures mean nothing and go to the workspace.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.methods_one import SEVEN, Measured, Size, measured_before, result_file
from benchmarks.methods_page import write_page
from benchmarks.results import RESULTS, Bar, as_lines, exit_code, result_of, write_result
from pipeline_config.environment import read_machine

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

LIFT, VERSUS_FULL, VERSUS_LORA = 0.30, 0.02, 0.03

BARS = (
    *(Bar(f"{method}_lift", ">=", LIFT) for method in SEVEN),
    Bar("lora_vs_full", ">=", -VERSUS_FULL),
    Bar("qlora_vs_lora", ">=", -VERSUS_LORA),
)

NOTES = (
    "SmolLM2-135M-Instruct; 2,500 training rows of Banking77 after preparation, balanced over its 77 labels; every test row that "
    "preparation keeps. Each method with its default settings; two epochs, four for prompt and prefix tuning.",
    "Preparation, training process and evaluation are those of the pipeline. Accuracy is exact match of greedy answers. The base gets the "
    "list of all labels and decoding held to them; of QLoRA, the base in four bits. A lift is accuracy over that base.",
    "lora_vs_full and qlora_vs_lora are differences of accuracy: below zero the first is worse.",
    "Seconds are those of optimizer steps; peak memory is the training process's.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is missing, writes the result, prints the bars and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description="All methods on Banking77.")
    parser.add_argument("--quick", action="store_true", help="a few rows; writes to the workspace")
    parser.add_argument("--only", nargs="+", choices=SEVEN, default=SEVEN, metavar="METHOD")
    given = parser.parse_args(arguments)
    folder, size = read_machine().workspace / "benchmarks" / "methods", Size.QUICK if given.quick else Size.FULL
    measured = {method: measure(method, size, folder) for method in given.only}
    found = {method: figures for method, figures in measured.items() if figures is not None}
    whole = not given.quick and set(given.only) == set(SEVEN)
    notes = [*NOTES, *_revisions(found)]
    result = result_of("methods", figures_of(found), BARS, peers={}, notes=notes)
    path = write_result(result, RESULTS if whole else folder)
    pages = write_page(found, DOCS if whole else folder / "docs", result["machine"])
    sys.stdout.write("\n".join([*as_lines(result), str(path), *map(str, pages)]) + "\n")
    return exit_code(result)


def measure(method: str, size: Size, folder: Path) -> Measured | None:
    """What was measured with these settings before, or now in a process of its own; null if that fails, so that the others go on."""
    if (before := measured_before(method, size, folder)) is not None:
        sys.stdout.write(f"{method}: measured before, {result_file(method, size, folder).name}\n")
        return before
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "benchmarks.methods_one", method, size.value], cwd=ROOT, check=False)
    sys.stdout.write(f"{method}: {'measured' if done.returncode == 0 else 'FAILED'} after {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return measured_before(method, size, folder) if done.returncode == 0 else None


def figures_of(found: Mapping[str, Measured]) -> dict[str, float]:
    """Figures of every method that was measured, and what the bars ask of them."""
    figures: dict[str, float] = {}
    for method, result in found.items():
        figures[f"{method}_lift"] = result["accuracy"] - result["base_accuracy"]
        figures |= {f"{method}_{name}": result[name] for name in FIGURES}  # type: ignore[literal-required]
    for better, worse in (("full", "lora"), ("lora", "qlora")):
        if better in found and worse in found:
            figures[f"{worse}_vs_{better}"] = found[worse]["accuracy"] - found[better]["accuracy"]
    return figures


FIGURES = (
    "accuracy", "base_accuracy", "heldout_loss", "trainable_parameters", "peak_gib", "adapter_mib", "seconds", "epochs", "learning_rate",
    "train_rows", "test_rows",
)  # fmt: skip


def _revisions(found: Mapping[str, Measured]) -> list[str]:
    """Said only where results are of different code."""
    revisions = {method: str(result["revision"]) for method, result in found.items()}
    if len(set(revisions.values())) < 2:
        return []
    return ["Measured at different revisions: " + ", ".join(f"{method} {revision}" for method, revision in revisions.items()) + "."]


if __name__ == "__main__":
    sys.exit(main())
