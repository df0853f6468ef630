"""The benchmark of augmentation: how fast operators are, what is accepted of them, whether anything leaks, and what it is worth.

`make bench-augment` writes `benchmarks/results/augment.json` and fails if a bar does not hold. `BANKING77_DIR` names the folder with
Banking77's train.csv and test.csv. Each part leaves its result under `benchmarks/augment` in the workspace, by its settings, and each arm
of the low-data part is a process of its own: a benchmark that was killed goes on with what is missing. `--only` measures some parts,
`--again` measures them anew; with `--quick`, a few rows, whose figures mean nothing and go to the workspace.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

from benchmarks.augment_lift import figures_of
from benchmarks.augment_one import EPOCHS, LOW_DATA_ROWS, RATIO, ROWS_A_LABEL, WITHOUT, Measured, measured_before, result_file
from benchmarks.augment_parts import REPETITIONS, SHORT_WORDS, Found, acceptance, leaks, speed
from benchmarks.augment_rows import OPERATORS, banking, open_one
from benchmarks.methods_one import Size
from benchmarks.results import RESULTS, Bar, as_lines, exit_code, result_of, write_result
from pipeline_config.environment import read_machine
from pipeline_config.errors import TunegateError
from tasks.augment.operators import Missing
from tasks.files import read_json, sha256_json, write_json
from tasks.revision import code_revision

ROOT = Path(__file__).parent.parent
PARTS = ("speed", "acceptance", "leaks")
LOW_DATA = "low-data"
SEEDS = (17, 18, 19)
"""Of the low-data arms; each is another adapter, another order of the rows and other reworded rows."""


class Amount(TypedDict):
    """How much is measured."""

    timed_rows: int
    train_rows: int
    few_rows: int
    leak_seeds: int


AMOUNTS: Mapping[Size, Amount] = {
    Size.FULL: {"timed_rows": 3000, "train_rows": 2500, "few_rows": LOW_DATA_ROWS[Size.FULL], "leak_seeds": 20},
    Size.QUICK: {"timed_rows": 100, "train_rows": 154, "few_rows": LOW_DATA_ROWS[Size.QUICK], "leak_seeds": 2},
}

BARS = (
    Bar("synonym_rows_per_s", ">=", 2000),
    Bar("apertium_rows_per_s", ">=", 200),
    Bar("leaked_children", "<=", 0),
    Bar("leak_seeds", ">=", 20),
)

NOTES = (
    f"Speed: {AMOUNTS[Size.FULL]['timed_rows']} training rows of Banking77 in one call, medians of {REPETITIONS}; dictionaries are loaded "
    f"before. synonym in one thread; apertium there and back (English, Spanish), rows of at most {SHORT_WORDS} words, as many processes as "
    "it starts. answered is the share of rows that came back in other words, before anything was judged.",
    f"Acceptance: {AMOUNTS[Size.FULL]['train_rows']} training rows, ratio 0.5 (paraphrase: the low-data arm's rows and ratio), default "
    "settings; asked counts every attempt. similarity is the mean cosine (MiniLM) of accepted rows to their parents.",
    "Leaks: accepted rows against all validation and test rows, by a comparison of all with all that shares no code with the pipeline's.",
    f"Low data: {ROWS_A_LABEL} rows of each of 77 labels and all test rows; SmolLM2-135M-Instruct, LoRA as in the preset; each operator "
    f"alone with ratio {RATIO:g}; {EPOCHS[Size.FULL]} epochs' steps for every arm, the last checkpoint. A lift is in shares of test rows "
    "answered right, mean over seeds; its interval is over test rows, and what other seeds give stands in the worst and the best of them.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is missing, writes the result, prints the bars and returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except TunegateError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(given: argparse.Namespace) -> int:
    machine, size = read_machine(), Size.QUICK if given.quick else Size.FULL
    folder = machine.workspace / "benchmarks" / "augment"
    found = {name: part(name, size, folder, machine.workspace, measure=name in given.only, again=given.again) for name in PARTS}
    arms = low_data(size, folder, machine.workspace, given.seeds, measure=LOW_DATA in given.only, again=given.again)
    figures = {name: value for one in found.values() for name, value in one["figures"].items()} | figures_of(arms)
    notes = [*NOTES, *dict.fromkeys(note for one in found.values() for note in one["notes"]), *_revisions(arms)]
    result = result_of("augment", figures, BARS, peers={}, notes=notes)
    path = write_result(result, folder if given.quick else RESULTS)
    sys.stdout.write("\n".join([*as_lines(result), *_lift_lines(figures), str(path)]) + "\n")
    return exit_code(result)


def part(name: str, size: Size, folder: Path, workspace: Path, *, measure: bool, again: bool) -> Found:
    """A part's figures: those of before, or measured now; nothing if neither is wanted."""
    path = folder / f"{name}-{size.value}-{sha256_json(AMOUNTS[size])[:12]}.json"
    if path.is_file() and not (measure and again):
        _say(f"{name}: measured before, {path.name}")
        stored: Found = read_json(path)
        return stored
    if not measure:
        return {"figures": {}, "notes": []}
    amount = AMOUNTS[size]
    measures = {
        "speed": partial(speed, amount["timed_rows"]),
        "acceptance": partial(acceptance, amount["train_rows"], amount["few_rows"]),
        "leaks": partial(leaks, amount["train_rows"], amount["leak_seeds"]),
    }
    began = time.monotonic()
    found = measures[name](workspace, _say)
    revision = f"{name} was measured at {code_revision() or 'an unknown revision'} in {time.monotonic() - began:.0f} s."
    made: Found = {"figures": found["figures"], "notes": [*found["notes"], revision]}
    write_json(path, made)
    return made


def low_data(size: Size, folder: Path, workspace: Path, seeds: Sequence[int], *, measure: bool, again: bool) -> dict[str, list[Measured]]:
    """What every arm came to, measured now where it was not before; what fails is said and left out."""
    arms: dict[str, list[Measured]] = {arm: [] for arm in (WITHOUT, *OPERATORS)}
    for seed in seeds:  # seed by seed, so that a benchmark that is stopped has whole comparisons
        for arm in arms:
            if measure and again:
                result_file(arm, seed, size, folder).unlink(missing_ok=True)
            if (one := _arm(arm, seed, size, folder, workspace, measure=measure)) is not None:
                arms[arm].append(one)
    return arms


def _arm(arm: str, seed: int, size: Size, folder: Path, workspace: Path, *, measure: bool) -> Measured | None:
    before = measured_before(arm, seed, size, folder)
    if before is not None or not measure:
        return before
    if arm != WITHOUT and isinstance(found := open_one(arm, banking(1), workspace), Missing):  # type: ignore[arg-type]
        _say(f"{arm}: not measured, {found.needs} is not here; `{found.command}` brings it")
        return None
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "benchmarks.augment_one", arm, str(seed), size.value], cwd=ROOT, check=False)
    _say(f"{arm} {seed}: {'measured' if done.returncode == 0 else 'FAILED'} after {time.monotonic() - began:.0f} s")
    return measured_before(arm, seed, size, folder) if done.returncode == 0 else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augment", description="Augmentation on Banking77.")
    parser.add_argument("--quick", action="store_true", help="a few rows; writes to the workspace")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, LOW_DATA], default=[*PARTS, LOW_DATA], metavar="PART")
    parser.add_argument("--again", action="store_true", help="measure these parts anew, though there are results of them")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help=f"of the low-data arms (default: {' '.join(map(str, SEEDS))})")
    return parser


def _lift_lines(figures: Mapping[str, float]) -> list[str]:
    return [
        f"low data, {name}: {figures[f'low_data_{name}_lift']:+.4f} "
        f"[{figures[f'low_data_{name}_lift_low']:+.4f}, {figures[f'low_data_{name}_lift_high']:+.4f}]"
        for name in OPERATORS
        if f"low_data_{name}_lift" in figures
    ]


def _revisions(arms: Mapping[str, Sequence[Measured]]) -> list[str]:
    revisions = sorted({str(one["revision"]) for measured in arms.values() for one in measured})
    return [f"Low-data arms were measured at {', '.join(revisions)}."] if revisions else []


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
