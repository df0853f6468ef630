"""The benchmark of evaluation: rows a second of a tuned model's answers, beside transformers' pipeline and vLLM.

`make bench-eval` writes `benchmarks/results/eval.json` and fails if a bar does not hold. `BANKING77_DIR` names the folder with Banking77's
train.csv and test.csv. vLLM has to be there: `make peers`. With `--version FOLDER`, the artifact of a run answers and nothing is trained.
With `--quick`, a few rows once, to see that everybody runs; its figures mean nothing and go to the workspace.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.eval_exact import TIE, Exactness
from benchmarks.eval_job import OURS, PIPELINE, PIPELINE_BATCH, WARM_UP, Answering, Job, read_prompts
from benchmarks.eval_model import Plan
from benchmarks.eval_vllm import SETTINGS as VLLM
from benchmarks.methods_one import Size
from benchmarks.peers import PEERS, folder_of, python_of
from benchmarks.results import RESULTS, Bar, Peer, Result, as_lines, exit_code, result_of, write_result
from benchmarks.train import banking_folder, last_line, run_ours
from pipeline_config.environment import read_machine
from pipeline_config.errors import EvaluationError
from pipeline_config.evaluation import EvaluationConfig

REPETITIONS, ROWS, QUICK_ROWS = 3, 1000, 24

BARS = (
    Bar("rows_per_s_vs_transformers_pipeline", ">=", 3),
    Bar("rows_per_s_vs_vllm", ">=", 1.5),
    Bar("same_answers", ">=", 0.98),
    Bar("fp32_unexplained_answers", "<=", 0),
)

CONTENDERS = (OURS, PIPELINE, *VLLM)

Runs = Mapping[str, Sequence[Answering]]
"""By contender, one for each repetition."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs everything, writes the result, prints the bars and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval", description="Evaluation beside transformers' pipeline and vLLM.")
    parser.add_argument("--quick", action="store_true", help="a few rows, once; writes to the workspace")
    parser.add_argument("--version", type=Path, metavar="FOLDER", help="the artifact that answers; without it, LoRA is trained")
    given = parser.parse_args(arguments)
    quick: bool = given.quick
    python_of("vllm")  # before anything is measured
    folder = (read_machine().workspace / "benchmarks" / "eval").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    options: list[object] = ["--rows", QUICK_ROWS if quick else ROWS, "--size", (Size.QUICK if quick else Size.FULL).value]
    options += ["--version", given.version.absolute()] if given.version else []
    plan: Plan = run_ours("benchmarks.eval_model", banking_folder(), folder, *options, log=folder / "model.log")
    runs = take_turns(folder, plan, repetitions=1 if quick else REPETITIONS)
    exact: Exactness = run_ours("benchmarks.eval_exact", write_job(folder / "exact", plan, OURS), log=folder / "exact" / "log.txt")
    result = build_result(plan, runs, exact, expected(folder, plan))
    path = write_result(result, folder if quick else RESULTS)
    sys.stdout.write("\n".join([*as_lines(result), str(path)]) + "\n")
    return exit_code(result)


def take_turns(folder: Path, plan: Plan, *, repetitions: int) -> dict[str, list[Answering]]:
    """All contenders once, and again."""
    runs: dict[str, list[Answering]] = {contender: [] for contender in CONTENDERS}
    for repetition in range(repetitions):
        for contender in CONTENDERS:
            runs[contender].append(run_once(folder / f"{contender}-{repetition}".replace(",", "").replace(" ", "-"), plan, contender))
    return runs


def run_once(folder: Path, plan: Plan, contender: str) -> Answering:
    """All prompts put to one contender, in a process of its own.

    Raises:
        TrainingError: the process failed.
        EvaluationError: a prompt has no answer.
    """
    job, log = write_job(folder, plan, contender), folder / "log.txt"
    if contender in VLLM:
        answering: Answering = last_line([str(python_of("vllm")), "-m", "benchmarks.eval_vllm", str(job)], _of_vllm(folder, contender), log)
    else:
        module = "benchmarks.eval_ours" if contender == OURS else "benchmarks.eval_pipeline"
        environment = read_machine().child_environment() if contender == OURS else dict(os.environ)
        answering = last_line([sys.executable, "-m", module, str(job)], {**environment, "HF_HUB_OFFLINE": "1"}, log)
    if len(answering["answers"]) != plan["rows"]:
        raise EvaluationError(f"{len(answering['answers'])} answers", where=contender, expected=f"{plan['rows']}")
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {contender}: {plan['rows'] / answering['seconds']:.1f} rows/s\n")
    sys.stdout.flush()
    return answering


def write_job(folder: Path, plan: Plan, contender: str) -> Path:
    """Stores what a contender is told."""
    job = Job(contender, plan["version"], plan["merged"], plan["prompts"], plan["limit"], str(folder))
    job.write(folder / "job.json")
    return folder / "job.json"


def expected(folder: Path, plan: Plan) -> list[str]:
    """The right answers."""
    return [prompt["expected"] for prompt in read_prompts(Job(OURS, "", "", plan["prompts"], plan["limit"], str(folder)))]


def _of_vllm(folder: Path, contender: str) -> dict[str, str]:
    """Its environment. Intel's OpenMP, which its documentation wants, is among its packages; what it compiles is kept for later runs."""
    kept = {"HF_HOME": str(folder / "hf"), "VLLM_CACHE_ROOT": str(folder.parent / "vllm-cache"), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    preloaded = ":".join(str(library) for library in sorted(folder_of("vllm").rglob("libiomp5.so")))
    return {**os.environ, **kept, **PEERS["vllm"].environment, **VLLM[contender], "LD_PRELOAD": preloaded}


def build_result(plan: Plan, runs: Runs, exact: Exactness, right: Sequence[str]) -> Result:
    """The whole file."""
    peers: dict[str, Peer] = {
        name: {"version": runs[name][0]["version"], "figures": own_figures(runs[name], right)} for name in (PIPELINE, *VLLM)
    }
    return result_of("eval", figures_of(runs, exact, right), BARS, peers=peers, notes=notes_of(plan, best_vllm(runs, right)))


def best_vllm(runs: Runs, right: Sequence[str]) -> str:
    """Its fastest setting."""
    return max(VLLM, key=lambda name: own_figures(runs[name], right)["rows_per_s"])


def own_figures(runs: Sequence[Answering], right: Sequence[str]) -> dict[str, float]:
    """Medians of one contender's repetitions."""
    return {
        "rows_per_s": median(len(right) / run["seconds"] for run in runs),
        "accuracy": median(agreement(run["answers"], right) for run in runs),
    }


def figures_of(runs: Runs, exact: Exactness, right: Sequence[str]) -> dict[str, float]:
    """What the bars ask, and what it is computed from."""
    speed = {name: own_figures(found, right)["rows_per_s"] for name, found in runs.items()}
    best = best_vllm(runs, right)
    return {
        **own_figures(runs[OURS], right),
        "rows_per_s_vs_transformers_pipeline": speed[OURS] / speed[PIPELINE],
        "rows_per_s_vs_vllm": speed[OURS] / speed[best],
        "same_answers": lowest_agreement(runs[OURS], runs[PIPELINE]),
        "same_answers_as_vllm": lowest_agreement(runs[OURS], runs[best]),
        "same_answers_pipeline_and_vllm": lowest_agreement(runs[PIPELINE], runs[best]),
        "fp32_same_answers": exact["same"],
        "fp32_unexplained_answers": exact["unexplained"],
    }


def lowest_agreement(ours: Sequence[Answering], theirs: Sequence[Answering]) -> float:
    """Share of equal answers in the repetition where it is lowest."""
    return min(agreement(one["answers"], other["answers"]) for one, other in zip(ours, theirs, strict=True))


def agreement(answers: Sequence[str], others: Sequence[str]) -> float:
    """Share of equal texts, without surrounding white space."""
    return sum(one.strip() == other.strip() for one, other in zip(answers, others, strict=True)) / len(others)


def notes_of(plan: Plan, best: str) -> list[str]:
    """How it was measured."""
    return [
        f"{plan['rows']} prompts of Banking77's test file, answered by SmolLM2-135M-Instruct with LoRA; bf16, greedy, at most "
        f"{plan['limit']} tokens, stop at the end-of-turn token, for all. {plan['tokens']} prompt tokens, of which {plan['shared']} begin "
        "every prompt.",
        f"rows_per_s: from all prompts at once, as chats (vLLM: as tokens), to all texts; loading, and {WARM_UP} prompts before, are "
        "outside. Each run is a process of its own; contenders take turns; figures are medians, agreements the lowest of the repetitions.",
        f"We: `TransformersEngine.answer` with the adapter beside its base, batch size {EvaluationConfig().batch_size}, as in every run. "
        "Peers answer with the adapter merged into bf16 weights, which is faster for both.",
        f"transformers: pipeline('text-generation', batch_size={PIPELINE_BATCH}), padded on the left, in the order given.",
        "vLLM: its offline engine, which gets all prompts at once, with Intel's OpenMP preloaded as its documentation wants. Its fastest "
        f"setting here: {best}. Settings: {VLLM}. It shares whole blocks of its cache, which are longer than what these prompts share.",
        f"fp32: our answers with the adapter beside the base against the pipeline's with a merged model; a difference is explained where "
        f"the two best tokens are within {TIE:g}.",
    ]


if __name__ == "__main__":
    sys.exit(main())
