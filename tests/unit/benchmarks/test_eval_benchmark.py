"""The parts of the benchmark of evaluation that are no measurement."""

from pathlib import Path

import pytest
import torch

from benchmarks.eval import BARS, CONTENDERS, agreement, best_vllm, build_result, figures_of, lowest_agreement, own_figures
from benchmarks.eval_exact import Exactness, has_tie, our_ids
from benchmarks.eval_job import OURS, PIPELINE, Answering, Job, Prompt, read_job, read_prompts
from benchmarks.eval_model import Plan
from benchmarks.eval_vllm import SETTINGS
from tests.architectures import random_rows, tiny_model

RIGHT = ["a", "b", "c", "d"]
EXACT: Exactness = {"same": 0.75, "unexplained": 0}
PLAN: Plan = {"version": "v", "merged": "m", "prompts": "p", "rows": 4, "limit": 16, "shared": 31, "tokens": 200}


def runs(seconds: float, answers: list[str] = RIGHT) -> list[Answering]:
    """Three, of which the one in the middle counts."""
    return [{"seconds": seconds * share, "answers": answers, "version": "1"} for share in (3.0, 1.0, 0.5)]


def all_runs() -> dict[str, list[Answering]]:
    return {OURS: runs(1.0), PIPELINE: runs(4.0), "vllm": runs(3.0), "vllm, all cores": runs(2.0)}


def test_figures_are_ratios_of_medians_and_every_bar_has_one() -> None:
    assert set(all_runs()) == set(CONTENDERS)

    figures = figures_of(all_runs(), EXACT, RIGHT)

    assert {bar.figure for bar in BARS} <= figures.keys()
    assert figures["rows_per_s"] == 4
    assert figures["rows_per_s_vs_transformers_pipeline"] == pytest.approx(4)
    assert figures["fp32_same_answers"] == 0.75


def test_vllm_is_taken_at_its_fastest() -> None:
    assert best_vllm(all_runs(), RIGHT) == "vllm, all cores"
    assert figures_of(all_runs(), EXACT, RIGHT)["rows_per_s_vs_vllm"] == pytest.approx(2)

    slower = all_runs() | {"vllm": runs(1.0)}
    assert figures_of(slower, EXACT, RIGHT)["rows_per_s_vs_vllm"] == pytest.approx(1)
    assert "setting here: vllm. " in " ".join(build_result(PLAN, slower, EXACT, RIGHT)["notes"])


def test_agreement_is_that_of_the_worst_repetition() -> None:
    wrong = [*RIGHT[:3], "x"]
    ours = [runs(1.0)[0], runs(1.0, wrong)[0], runs(1.0)[0]]

    assert lowest_agreement(ours, runs(1.0)) == 0.75
    assert own_figures(ours, RIGHT)["accuracy"] == 1
    assert agreement([" a\n", "B"], ["a", "b"]) == 0.5


def test_other_answers_fail_the_bars() -> None:
    found = all_runs() | {PIPELINE: runs(4.0, ["x", *RIGHT[1:]])}
    result = build_result(PLAN, found, {"same": 0.99, "unexplained": 1}, RIGHT)

    judged = {bar["figure"]: bar["holds"] for bar in result["bars"]}
    assert judged == {
        "rows_per_s_vs_transformers_pipeline": True, "rows_per_s_vs_vllm": True, "same_answers": False, "fp32_unexplained_answers": False,
    }  # fmt: skip
    assert set(result["peers"]) == {PIPELINE, *SETTINGS}


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = Job(OURS, "v", "m", str(tmp_path / "prompts.json"), 16, str(tmp_path))
    job.write(tmp_path / "deep" / "job.json")
    prompt: Prompt = {"messages": [{"role": "user", "content": "x"}], "ids": [1, 2], "expected": "y"}
    (tmp_path / "prompts.json").write_text(f"[{str(prompt).replace(chr(39), chr(34))}]")

    assert read_job(str(tmp_path / "deep" / "job.json")) == job
    assert read_prompts(job) == [prompt]


def test_a_difference_is_explained_by_a_tie_and_by_nothing_else() -> None:
    model = tiny_model("llama")
    prompts = [row["prompt_ids"] for row in random_rows(9, [20, 24])]
    answers = our_ids(model, prompts, 1, 4)
    assert [has_tie(model, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)] == [False, False]
    assert not has_tie(model, prompts[0], answers[1]), "no answer of this prompt"

    with torch.no_grad():
        model.lm_head.weight[2:] = model.lm_head.weight[answers[0][0]]
    assert has_tie(model, prompts[0], [answers[0][0]] * 4)
