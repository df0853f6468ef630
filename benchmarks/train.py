"""The benchmark of training: speed, memory and held-out loss beside TRL and LLaMA-Factory, on the same rows and by the same rules.

`make bench-train` writes `benchmarks/results/train.json` and fails if a bar does not hold. `BANKING77_DIR` names the folder with
Banking77's train.csv and test.csv. The peers have to be there: `make peers`. With `--quick`, a few rows once, to see that everybody runs;
its figures mean nothing and go to the workspace.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypedDict

from benchmarks.peers import PEERS, python_of
from benchmarks.results import RESULTS, Bar, Peer, Result, as_lines, exit_code, result_of, write_result
from benchmarks.train_gemm import Rate
from benchmarks.train_job import ALONE, DROPOUT, HELDOUT_ROWS, LEARNING_RATE, OURS, RANK, ROWS_PER_STEP, SCHEDULER, Job, Training
from benchmarks.train_llamafactory import SETTINGS as LLAMAFACTORY
from benchmarks.train_rows import SEED, Plan
from benchmarks.train_trl import SETTINGS as TRL
from pipeline_config.environment import read_machine
from pipeline_config.errors import EvaluationError, TrainingError

ROOT = Path(__file__).parent.parent
REPETITIONS, ROWS, HELDOUT = 3, 160, 200
QUICK_ROWS, QUICK_HELDOUT = 16, 8
PADDED = "trl padded"

_GIB = 2**30

BARS = (
    Bar("tokens_per_s_vs_trl_padded", ">=", 5.5),
    Bar("tokens_per_s_vs_best_peer", ">=", 3),
    Bar("no_shared_prefix_vs_best_peer", ">=", 1.7),
    Bar("heldout_loss_vs_peer", "<=", 1.01),
    Bar("gemm_utilisation", ">=", 0.42),
    Bar("peak_memory_vs_best_peer", "<=", 0.6),
)

NOTES = (
    f"SmolLM2-135M-Instruct, the embedded base as a folder; Banking77's first rows after a shuffle with seed {SEED}; LoRA r{RANK} on q, k, "
    f"v and o, dropout {DROPOUT:g}; {ROWS_PER_STEP} rows an optimizer step, one epoch, learning rate {LEARNING_RATE:g}, {SCHEDULER}, "
    "warm-up 3 %, fused AdamW. Rules and number of tokens with loss are read from each contender's own trainer, and compared.",
    "tokens_per_s: tokens of all rows, each with its prompt, counted once, the same for all, over the seconds from the start of the first "
    "step to the end of the last one. Nothing is left out in between; loading, validation and saving are outside. Peak memory is the "
    "process's peak of resident memory up to then.",
    "Each training is a process of its own; contenders take turns; figures are medians of the repetitions, whose seeds (row order and the "
    "adapter's first weights) are the same for all. Peers run with the thread settings that their libraries choose; we with those that "
    "every run of ours has.",
    "heldout_loss: base in fp32 with the saved adapter, padded batches, one program for all. heldout_loss_vs_peer is against the lowest of "
    "the peers' losses. peak_memory_vs_best_peer is against the fastest peer setting.",
    "gemm_utilisation: 4 x weights of the projections x tokens of all rows / seconds, without the shared prefix, over the best rate that a "
    "bf16 product of this model's shapes reaches at 256 to 2,048 tokens.",
    "We: `tasks.train.child` with LoRA settings and nothing else changed. Without shared prefix: all but the first token of each prompt is "
    "handed over as part of what follows it, without loss.",
    "LLaMA-Factory: bf16, gradient checkpointing off (its default is on), attention by its own choice, rows rendered beforehand. Packed: "
    "neat_packing, one sequence a step, which holds eight rows on average.",
    "TRL: SFTConfig's defaults (fp32 weights under bf16 autocast, gradient checkpointing on) but for what is named here. Packed: "
    "padding_free with eight rows a step, which is bfd packing without its sorting.",
)


class Contender(NamedTuple):
    """Who trains: a module that takes a job, in the environment of a peer, or in ours."""

    name: str
    module: str
    peer: str | None


CONTENDERS = (
    Contender(OURS, "benchmarks.train_ours", None),
    Contender(ALONE, "benchmarks.train_ours", None),
    *(Contender(name, "benchmarks.train_trl", "trl") for name in TRL),
    *(Contender(name, "benchmarks.train_llamafactory", "llamafactory") for name in LLAMAFACTORY),
)


class Run(TypedDict):
    """One training, and the loss of its adapter on rows that nobody trained on, in nats a token."""

    training: Training
    heldout_loss: float


Runs = dict[str, list[Run]]
"""By contender."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs everything, writes the result, prints the bars and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description="Training beside TRL and LLaMA-Factory.")
    parser.add_argument("--quick", action="store_true", help="a few rows, once; writes to the workspace")
    quick = parser.parse_args(arguments).quick
    for peer in {contender.peer for contender in CONTENDERS if contender.peer is not None}:
        python_of(peer)  # before anything is measured
    folder = read_machine().workspace / "benchmarks" / "train"
    shutil.rmtree(folder, ignore_errors=True)
    rows = (QUICK_ROWS, QUICK_HELDOUT) if quick else (ROWS, HELDOUT)
    plan: Plan = run_ours(
        "benchmarks.train_rows", banking_folder(), folder / "rows", "--rows", rows[0], "--heldout", rows[1], log=folder / "rows.log"
    )
    runs, rates = take_turns(folder, plan, repetitions=1 if quick else REPETITIONS)
    result = build_result(plan, runs, rates)
    path = write_result(result, folder if quick else RESULTS)
    sys.stdout.write("\n".join([*as_lines(result), str(path)]) + "\n")
    return exit_code(result)


def banking_folder() -> str:
    """The folder with Banking77's files.

    Raises:
        EvaluationError: nobody named it.
    """
    folder = os.environ.get("BANKING77_DIR")
    if not folder:
        raise EvaluationError(
            "BANKING77_DIR is not set", where="environment", expected="the folder with Banking77's train.csv and test.csv"
        )
    return folder


def take_turns(folder: Path, plan: Plan, *, repetitions: int) -> tuple[Runs, list[Rate]]:
    """All contenders once, and again; and the machine's rate of products before each round."""
    runs: Runs = {contender.name: [] for contender in CONTENDERS}
    rates: list[Rate] = []
    for seed in range(repetitions):
        rates.append(run_ours("benchmarks.train_gemm", plan["base"], log=folder / "gemm.log"))
        for contender in CONTENDERS:
            runs[contender.name].append(run_once(folder, plan, contender, seed))
    return runs, rates


def run_once(folder: Path, plan: Plan, contender: Contender, seed: int) -> Run:
    """One training in a process of its own, and the loss of what came out.

    Raises:
        TrainingError: the contender failed.
        EvaluationError: it trained on other tokens, or by other rules.
    """
    own = (folder / f"{contender.name}-{seed}".replace(",", "").replace(" ", "-")).absolute()
    job = Job(contender.name, plan["base"], str(folder.absolute() / "rows"), str(own), seed, plan["capacity"])
    job.write(own / "job.json")
    python = sys.executable if contender.peer is None else str(python_of(contender.peer))
    command = [python, "-m", contender.module, str(own / "job.json")]
    training: Training = last_line(command, _environment(contender, own), own / "log.txt")
    require_fairness(plan, contender, training)
    loss: float = run_ours("benchmarks.train_heldout", training["adapter"], folder / "rows" / HELDOUT_ROWS, log=own / "heldout.log")
    sys.stdout.write(
        f"{time.strftime('%H:%M:%S')} {contender.name}, seed {seed}: {plan['tokens'] / training['seconds']:.0f} tokens/s, "
        f"{training['peak_bytes'] / _GIB:.2f} GiB, {training['steps']} steps, held-out loss {loss:.4f}\n"
    )
    sys.stdout.flush()
    return {"training": training, "heldout_loss": loss}


def require_fairness(plan: Plan, contender: Contender, training: Training) -> None:
    """Everybody trains on the same tokens and by the same rules, and a prefix is shared exactly where it is meant to be.

    Raises:
        EvaluationError: somebody does not.
    """
    rules = {
        "learning_rate": LEARNING_RATE, "lr_scheduler_type": SCHEDULER, "warmup_steps": 0.03, "weight_decay": 0.01, "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused", "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "num_train_epochs": 1,
        "gradient_accumulation_steps": 1,
    }  # fmt: skip
    wanted = {**rules, "supervised_tokens": plan["supervised_tokens"], "prefix_tokens": plan["prefix_tokens"] * (contender.name == OURS)}
    found: dict[str, Any] = {**training["rules"], **{name: training[name] for name in ("supervised_tokens", "prefix_tokens")}}
    wrong = [f"{name} {found.get(name)} and not {value}" for name, value in wanted.items() if found.get(name) != value]
    if wrong:
        raise EvaluationError(
            f"{contender.name} trained with {'; '.join(wrong)}", where="benchmark of training", expected="the same for all"
        )


def build_result(plan: Plan, runs: Mapping[str, Sequence[Run]], rates: Sequence[Rate]) -> Result:
    """The whole file."""
    peers: dict[str, Peer] = {
        contender.name: {"version": runs[contender.name][0]["training"]["version"], "figures": own_figures(plan, runs[contender.name])}
        for contender in CONTENDERS
        if contender.peer is not None
    }
    best = best_peer(peers)
    notes = [*NOTES, f"The fastest peer setting: {best}. Further settings: {json.dumps(TRL | LLAMAFACTORY)}."]
    return result_of("train", figures_of(plan, runs, rates, peers), BARS, peers=peers, notes=notes)


def best_peer(peers: Mapping[str, Peer]) -> str:
    """The fastest setting of all."""
    return max(peers, key=lambda name: peers[name]["figures"]["tokens_per_s"])


def own_figures(plan: Plan, runs: Sequence[Run]) -> dict[str, float]:
    """Medians of one contender's repetitions."""
    return {
        "tokens_per_s": median(plan["tokens"] / run["training"]["seconds"] for run in runs),
        "peak_gib": median(run["training"]["peak_bytes"] / _GIB for run in runs),
        "heldout_loss": median(run["heldout_loss"] for run in runs),
        "steps": median(run["training"]["steps"] for run in runs),
    }


def figures_of(plan: Plan, runs: Mapping[str, Sequence[Run]], rates: Sequence[Rate], peers: Mapping[str, Peer]) -> dict[str, float]:
    """What the bars ask, and what it is computed from."""
    ours, alone = (own_figures(plan, runs[name]) for name in (OURS, ALONE))
    theirs = {name: peer["figures"] for name, peer in peers.items()}
    best, flops = theirs[best_peer(peers)], median(rate["flops"] for rate in rates)
    speeds = {name: ours["tokens_per_s"] / figures["tokens_per_s"] for name, figures in theirs.items()}
    return {
        **ours,
        **{f"{name}_no_shared_prefix": value for name, value in alone.items()},
        "rows": plan["rows"],
        "tokens": plan["tokens"],
        "prefix_tokens": plan["prefix_tokens"],
        "gemm_gflops": flops / 1e9,
        "tokens_per_s_vs_trl_padded": speeds[PADDED],
        "tokens_per_s_vs_trl_padded_no_checkpointing": speeds[f"{PADDED}, no checkpointing"],
        "tokens_per_s_vs_best_peer": ours["tokens_per_s"] / best["tokens_per_s"],
        "no_shared_prefix_vs_best_peer": alone["tokens_per_s"] / best["tokens_per_s"],
        "heldout_loss_vs_peer": ours["heldout_loss"] / min(figures["heldout_loss"] for figures in theirs.values()),
        "gemm_utilisation": 4 * rates[0]["weights"] * alone["tokens_per_s"] / flops,
        "peak_memory_vs_best_peer": ours["peak_gib"] / best["peak_gib"],
    }


def _environment(contender: Contender, folder: Path) -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    if contender.peer is None:
        return {**read_machine().child_environment(), **quiet}
    return {**os.environ, **quiet, **PEERS[contender.peer].environment, "HF_HOME": str(folder / "hf")}


def run_ours(module: str, *arguments: object, log: Path) -> Any:
    """The last line of a module of ours, which is JSON.

    Raises:
        TrainingError: it failed; its words are in the log.
    """
    command: Iterable[object] = (sys.executable, "-m", module, *arguments)
    return last_line([str(part) for part in command], {**read_machine().child_environment(), "HF_HUB_OFFLINE": "1"}, log)


def last_line(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Any:
    """The last line of a program's standard output, which is JSON. Its standard input stays open until it ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    try:
        with log.open("wb") as stream:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdin=reader, stdout=subprocess.PIPE, stderr=stream, check=False)
    finally:
        os.close(reader)
        os.close(writer)
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines:
        raise TrainingError(f"`{' '.join(command[1:3])}` ended with exit code {done.returncode}", where=str(log), expected="a line of JSON")
    return json.loads(lines[-1])


if __name__ == "__main__":
    sys.exit(main())
