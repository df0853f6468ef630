"""Where a training step's time goes: `python -m benchmarks.train_profile` writes `docs/reference/training-profile.md`.

A training of ours as in the benchmark of training, with and without the shared prefix, with torch's profiler on for a few steps of it. With
`--quick`, a few rows; the page goes to the workspace. `BANKING77_DIR` as for that benchmark.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from transformers import TrainerCallback

from benchmarks.results import describe_machine
from benchmarks.train_job import ALONE, OURS, Job, read_job

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "training-profile.md"
FIRST_STEP, STEPS = 4, 8
"""Steps before the first one are left out: they choose and compile kernels for shapes that are new to them."""
OPERATORS = 12

KINDS: dict[str, tuple[str, ...]] = {
    "matrix products of the projections": ("mm", "addmm", "linear", "mkldnn_linear", "matmul"),
    "products of attention": ("bmm", "baddbmm"),
    "fused attention": ("_scaled_dot_product",),
    "softmax": ("_softmax",),
    "spreading and gathering rows": ("index_select", "index", "gather", "scatter", "cat"),
    "loss": ("_log_softmax", "nll_loss"),
    "copies and casts": ("copy_", "_to_copy", "clone", "contiguous"),
    "optimizer and norm of the gradient": ("_fused_adamw", "_foreach", "linalg_vector_norm", "Optimizer"),
    "element-wise": (
        "mul", "add", "sub", "div", "neg", "silu", "pow", "mean", "rsqrt", "sum", "masked_fill", "fill_", "zero_", "where",
        "exp", "cos", "sin",
    ),
}  # fmt: skip
"""What an operator's name begins with, behind `aten::`; the first kind that fits."""
AUTOGRAD, REST, BETWEEN = "autograd's own work", "other operators", "between operators (Python)"


class Operator(TypedDict):
    """One operator over all profiled steps: calls, and milliseconds in itself without what it calls."""

    name: str
    calls: int
    milliseconds: float


class Profile(TypedDict):
    """Profiled steps: how many, their milliseconds on the clock, and the operators that took them."""

    steps: int
    milliseconds: float
    operators: list[Operator]


class Profiler(TrainerCallback):
    """Watches some steps."""

    def __init__(self, first: int, steps: int) -> None:
        from torch.profiler import ProfilerActivity, profile

        self._range = (first, first + steps)
        self._profile = profile(activities=[ProfilerActivity.CPU])
        self._began, self._milliseconds, self._seen = 0.0, 0.0, 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts watching."""
        if state.global_step == self._range[0]:
            self._profile.start()
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stops watching."""
        if self._range[0] < state.global_step <= self._range[1]:
            self._milliseconds += 1000 * (time.perf_counter() - self._began)
            self._seen += 1
            if state.global_step in (self._range[1], state.max_steps):
                self._profile.stop()

    def result(self) -> Profile:
        """What was seen."""
        operators: list[Operator] = [
            {"name": event.key, "calls": event.count, "milliseconds": event.self_cpu_time_total / 1000}
            for event in self._profile.key_averages()
        ]
        return {"steps": self._seen, "milliseconds": self._milliseconds, "operators": operators}


def kind_of(operator: str) -> str:
    """Which part of a step an operator belongs to. What is no operator of torch is a step of autograd or a mark around others."""
    if not operator.startswith("aten::"):
        return AUTOGRAD
    name = operator.removeprefix("aten::")
    return next((kind for kind, starts in KINDS.items() if any(name == start or name.startswith(start) for start in starts)), REST)


def by_kind(profile: Profile) -> dict[str, float]:
    """Milliseconds a step of each kind, largest first; what no operator accounts for is the last one."""
    totals: dict[str, float] = {}
    for operator in profile["operators"]:
        kind = kind_of(operator["name"])
        totals[kind] = totals.get(kind, 0.0) + operator["milliseconds"] / profile["steps"]
    ordered = dict(sorted(totals.items(), key=lambda entry: -entry[1]))
    return {**ordered, BETWEEN: profile["milliseconds"] / profile["steps"] - sum(totals.values())}


def render(profiles: Mapping[str, Profile], machine: Mapping[str, str | float]) -> str:
    """The page."""
    whose = f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}"
    lines = [
        "# Where a training step's time goes",
        "",
        f"Written by `python -m benchmarks.train_profile` on {whose}: SmolLM2-135M in bf16, LoRA r16 on attention, eight Banking77 rows",
        "a step, the training process of every run with torch's profiler in it. Watching costs time of its own, most of all between",
        "operators, so a step is slower here than in `benchmarks/results/train.json`; shares are what to read. An operator's time is its",
        "own, without that of what it calls, on the clock of the thread that runs it, over forward pass, backward pass and optimizer.",
    ]
    for name, profile in profiles.items():
        lines += ["", f"## {_title(name)}", "", *_kinds_table(profile), "", *_operators_table(profile)]
    return "\n".join(lines) + "\n"


def _title(contender: str) -> str:
    return "With the shared prefix" if contender == OURS else "Without a shared prefix"


def _kinds_table(profile: Profile) -> list[str]:
    step = profile["milliseconds"] / profile["steps"]
    rows = [f"| {kind} | {took:.1f} | {took / step:.0%} |" for kind, took in by_kind(profile).items()]
    whole = f"| a step, mean of {profile['steps']} | {step:.1f} | 100% |"
    return ["| part | ms a step | share |", "| --- | ---: | ---: |", *rows, whole]


def _operators_table(profile: Profile) -> list[str]:
    dearest = sorted(profile["operators"], key=lambda operator: -operator["milliseconds"])[:OPERATORS]
    rows = [
        f"| `{operator['name']}` | {operator['calls'] / profile['steps']:.0f} | {operator['milliseconds'] / profile['steps']:.1f} |"
        for operator in dearest
    ]
    return ["| operator | calls a step | ms a step |", "| --- | ---: | ---: |", *rows]


def profile_one(job: Job, first: int, steps: int) -> int:
    """Trains in this process, and writes the profile behind the training's own line."""
    from benchmarks.train_clock import install
    from benchmarks.train_ours import train

    profiler, lines = Profiler(first, steps), sys.stdout
    install(profiler)
    code = train(job)
    if not code:
        lines.write(json.dumps(profiler.result()) + "\n")
    return code


def profile_both(folder: Path, banking: str, *, rows: int, first: int, steps: int) -> dict[str, Profile]:
    """With and without the shared prefix, each in a process of its own."""
    from benchmarks.train import run_ours

    shutil.rmtree(folder, ignore_errors=True)
    plan = run_ours("benchmarks.train_rows", banking, folder / "rows", "--rows", rows, "--heldout", 8, log=folder / "rows.log")
    profiles: dict[str, Profile] = {}
    for name, short in ((OURS, "shared"), (ALONE, "alone")):
        own = folder / short
        Job(name, plan["base"], str(folder / "rows"), str(own), 0, plan["capacity"]).write(own / "job.json")
        arguments: Iterable[object] = ("--job", own / "job.json", "--first", first, "--steps", steps)
        profiles[name] = run_ours("benchmarks.train_profile", *arguments, log=own / "log.txt")
    return profiles


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    from pipeline_config.environment import read_machine

    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_profile", description="Where a training step's time goes.")
    parser.add_argument("--quick", action="store_true", help="a few rows; writes to the workspace")
    parser.add_argument("--job", type=Path, help="profile this job in this process")
    parser.add_argument("--first", type=int, default=FIRST_STEP, help="steps before the first one that is watched")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps that are watched")
    given = parser.parse_args(arguments)
    if given.job:
        return profile_one(read_job(given.job), given.first, given.steps)
    folder = read_machine().workspace / "benchmarks" / "profile"
    rows, first, steps = (24, 1, 2) if given.quick else (160, given.first, given.steps)
    profiles = profile_both(folder, os.environ["BANKING77_DIR"], rows=rows, first=first, steps=steps)
    page = folder / PAGE.name if given.quick else PAGE
    page.write_text(render(profiles, describe_machine()), encoding="utf-8")
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
