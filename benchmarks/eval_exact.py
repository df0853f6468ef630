"""Our answers against the pipeline's in fp32, where rounding explains little: `python -m benchmarks.eval_exact JOB`."""

import json
import sys
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.eval_job import Job, read_job, read_prompts
from benchmarks.eval_model import merged, tuned
from benchmarks.eval_pipeline import ask, open_pipeline
from pipeline_config.evaluation import EvaluationConfig
from tasks.chat import decode
from tasks.decoding import Together, rules

TIE = 1e-3
"""Logits that are nearer than this may change places between two orders of summation."""


class Exactness(TypedDict):
    """Share of equal answers, and the number of those that differ without a tie."""

    same: float
    unexplained: int


def compare(job: Job) -> Exactness:
    """Answers all prompts twice: we with the adapter beside the base, the pipeline with a merged model."""
    ids = [prompt["ids"] for prompt in read_prompts(job)]
    model, tokenizer = tuned(Path(job.version), "float32")
    ours = our_ids(model, ids, tokenizer.eos_token_id, job.limit)
    texts = [decode(tokenizer, answer) for answer in ours]
    theirs = ask(job, open_pipeline(*merged(Path(job.version), "float32")))["answers"]
    differ = [at for at in range(len(ids)) if texts[at] != theirs[at]]
    unexplained = sum(not has_tie(model, ids[at], ours[at]) for at in differ)
    return {"same": 1 - len(differ) / len(ids), "unexplained": unexplained}


def our_ids(model: Any, prompts: list[list[int]], end: int, limit: int) -> list[list[int]]:
    """Tokens of our answers."""
    import torch

    found: dict[int, list[int]] = {}
    with torch.inference_mode():
        for done in Together(model, prompts, rules(end, limit, None), rows=EvaluationConfig().batch_size).answers():
            found |= done
    return [found[number] for number in range(len(prompts))]


def has_tie(model: Any, prompt: list[int], answer: list[int]) -> bool:
    """Whether each token of an answer is one of the best, and at one place at least another is as good."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([[*prompt, *answer]])
        logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    best = logits.topk(2, dim=-1).values
    chosen = logits.gather(1, torch.tensor(answer)[:, None])[:, 0]
    return bool(((best[:, 0] - chosen) <= TIE).all() and ((best[:, 0] - best[:, 1]) <= TIE).any())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare(read_job(sys.argv[1]))) + "\n")
