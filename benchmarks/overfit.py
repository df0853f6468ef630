"""The benchmark of the overfitting verdict: on how many of fifty trainings does it stand on the wrong side of the gate?

`make bench-overfit` trains what has not been trained yet, writes `benchmarks/results/overfit.json`, and fails if a bar does not hold.
`BANKING77_DIR` names the folder with Banking77's train.csv and test.csv. Each training leaves its record under `benchmarks/overfit` in the
workspace, by its settings: a benchmark that was killed goes on with the next run. `--calibrate` trains and looks at the 130 runs that
thresholds are found on, and at no other; `--only` trains some runs and stops there.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.overfit_records import Stored, stored_before, train_run
from benchmarks.overfit_runs import CALIBRATION, KINDS, SMALL, TRUTH_ROWS, VALIDATION_ROWS, Run, plan
from benchmarks.overfit_thresholds import proposal
from benchmarks.overfit_truth import figures_of, judge_record, kept_of, line_of
from benchmarks.results import Bar, as_lines, exit_code, result_of, write_result
from pipeline_config.environment import read_machine
from pipeline_config.errors import ConfigError, TunegateError
from tasks.evaluate.overfitting import LEAK_CHANCE, LEAK_SHARE, MILD_REBOUND, POOLED_PART, SEVERE_REBOUND
from tasks.files import write_atomically

RUNS = "overfit_runs.jsonl"
"""Beside the result: truth and evidence of every run, those that calibrate among them."""

BARS = (Bar("overfit_wrong", "<=", 0.05), Bar("runs", ">=", 50), Bar("severe_runs", ">=", 15))

NOTES = (
    "SmolLM2-135M-Instruct, trained by the training child of every run: ten kinds of runs, eighteen of each, on Banking77 and on the "
    "demo's tickets, with settings and rows drawn by fixed seeds. Thresholds were frozen on the first thirteen runs of each kind; figures "
    "are of the other five. Kinds were made so that most runs are clearly fit or clearly overfitted; runs_near_the_line says how many are "
    f"not. The first eight of a kind have 12 to 48 validation rows; the others have {min(VALIDATION_ROWS)} to {max(VALIDATION_ROWS)}, as "
    f"a real run has, but for three kinds with as few ({', '.join(SMALL)}).",
    f"Truth: the shipped checkpoint's loss on {TRUTH_ROWS} rows that the verdict is not told of, over the smallest that any checkpoint of "
    "the run has on them. From 1.05 on it is mild, from 1.20 on severe. A verdict is wrong if it passes what is severe, or closes the gate "
    "to what is not.",
    f"Frozen: mild from {MILD_REBOUND:g}, severe above {SEVERE_REBOUND:g}, a rebound drawn {POOLED_PART:g} of the way to what validation "
    f"and test rows say together; validation rows are known below a chance of {LEAK_CHANCE:g} and from a share of {LEAK_SHARE:g}.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what is missing, judges, writes the result, prints the bars and returns the exit code."""
    given = _parser().parse_args(arguments)
    folder, runs = read_machine().workspace / "benchmarks" / "overfit", plan()
    wanted = [
        run for run in runs if (run.calibrates or not given.calibrate) and (not given.only or f"{run.kind}-{run.number}" in given.only)
    ]
    trained = train_all(wanted, _banking(), folder, given.jobs)
    if given.only or given.calibrate:
        judged = [judge_record(stored) for stored in trained.values()]
        sys.stdout.write("\n".join([*map(line_of, judged), *(proposal(judged) if given.calibrate else ())]) + "\n")
        return 0 if len(trained) == len(wanted) else 1
    judged = [judge_record(stored) for run, stored in trained.items() if not run.calibrates]
    result = result_of("overfit", figures_of(judged), BARS, peers={}, notes=[*NOTES, *_revisions(trained.values())])
    path = write_result(result)
    write_atomically(path.with_name(RUNS), "".join(json.dumps(kept_of(stored)) + "\n" for stored in trained.values()).encode())
    sys.stdout.write("\n".join([*map(line_of, judged), *as_lines(result), str(path)]) + "\n")
    return exit_code(result)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overfit", description="The overfitting verdict on real trainings.")
    parser.add_argument("--calibrate", action="store_true", help=f"the first {CALIBRATION} runs of each kind only; proposes thresholds")
    parser.add_argument("--only", nargs="+", metavar="KIND-NUMBER", help=f"kinds: {', '.join(KINDS)}")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time; each gets its share of the cores (default: 2)")
    return parser


def train_all(runs: Sequence[Run], banking: Path, folder: Path, jobs: int) -> dict[Run, Stored]:
    """The records of all runs, in their order; what fails is said, and left out."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    began, done = time.monotonic(), 0

    def one(run: Run) -> Stored | None:
        nonlocal done
        stored, how = stored_before(run, folder), "trained before"
        if stored is None:
            stored, how = _attempt(run, banking, folder, threads)
        done += 1
        _say(f"{done} of {len(runs)} after {time.monotonic() - began:.0f} s: {run.kind}-{run.number} {how}")
        return stored

    with ThreadPoolExecutor(jobs) as pool:
        records = list(pool.map(one, runs))
    return {run: stored for run, stored in zip(runs, records, strict=True) if stored is not None}


def _attempt(run: Run, banking: Path, folder: Path, threads: int) -> tuple[Stored | None, str]:
    try:
        stored = train_run(run, banking, folder, threads)
    # So that the others go on: a figure counts the runs that there are.
    except (TunegateError, OSError) as error:
        return None, f"FAILED: {error}"
    return stored, f"in {stored['seconds']:.0f} s"


def _revisions(trained: Iterable[Stored]) -> list[str]:
    """Said only where records are of different code."""
    revisions = sorted({str(stored["revision"]) for stored in trained})
    return [f"Trained at different revisions: {', '.join(revisions)}."] if len(revisions) > 1 else []


def _banking() -> Path:
    folder = os.environ.get("BANKING77_DIR")
    if folder is None:
        raise ConfigError("BANKING77_DIR is not set", where="environment", expected="the folder with Banking77's train.csv and test.csv")
    return Path(folder)


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
