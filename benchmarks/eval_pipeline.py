"""transformers' own pipeline as a contender: `python -m benchmarks.eval_pipeline JOB`, in our environment."""

import json
import sys
import time
from typing import Any

from benchmarks.eval_job import PIPELINE_BATCH, WARM_UP, Answering, Job, read_job, read_prompts
from benchmarks.results import versions_of


def answer(job: Job) -> Answering:
    """Answers all prompts with the merged model in bf16, in the order given."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(job.merged, dtype=torch.bfloat16)
    return ask(job, open_pipeline(model, AutoTokenizer.from_pretrained(job.merged)))


def open_pipeline(model: Any, tokenizer: Any) -> Any:
    """A pipeline that pads on the left, as batches of a decoder have to be."""
    from transformers import pipeline

    tokenizer.padding_side = "left"
    return pipeline("text-generation", model=model, tokenizer=tokenizer, batch_size=PIPELINE_BATCH)


def ask(job: Job, generate: Any) -> Answering:
    """Answers all prompts."""
    chats = [prompt["messages"] for prompt in read_prompts(job)]

    def texts(chats: list[list[dict[str, str]]]) -> list[str]:
        made = generate(chats, max_new_tokens=job.limit, do_sample=False, return_full_text=False)
        return [one["generated_text"] for [one] in made]

    texts(chats[:WARM_UP])
    began = time.perf_counter()
    answers = texts(chats)
    return {"seconds": time.perf_counter() - began, "answers": answers, "version": versions_of("transformers", "torch")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(read_job(sys.argv[1]))) + "\n")
