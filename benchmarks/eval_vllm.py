"""vLLM as a contender: `python -m benchmarks.eval_vllm JOB`, in its own environment (`make peers`)."""

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

from benchmarks.eval_job import LONGEST, WARM_UP, Answering, Job, read_job, read_prompts

SETTINGS: dict[str, dict[str, str]] = {
    "vllm": {},
    "vllm, all cores": {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"},
}
"""Variables of the environment that differ. By default it keeps one core for its own front end, and computes on the others."""


def answer(job: Job) -> Answering:
    """Answers all prompts with the merged model in bf16, which it gets all at once: it batches them itself."""
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]  # in its own environment only

    prompts: list[Any] = [{"prompt_token_ids": prompt["ids"]} for prompt in read_prompts(job)]
    model = LLM(job.merged, dtype="bfloat16", max_model_len=LONGEST)
    sampling = SamplingParams(temperature=0, max_tokens=job.limit)

    def ask(prompts: list[Any]) -> list[str]:
        return [output.outputs[0].text for output in model.generate(prompts, sampling, use_tqdm=False)]

    ask(prompts[:WARM_UP])
    model.reset_prefix_cache()  # or the warm-up's prompts would not be computed again
    began = time.perf_counter()
    texts = ask(prompts)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("vllm-cpu", "torch", "transformers"))
    return {"seconds": time.perf_counter() - began, "answers": texts, "version": versions}


def main() -> None:
    """The command line. What vLLM and its processes print goes where their warnings go, so that the line of JSON is the last one."""
    result = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answering = answer(read_job(sys.argv[1]))
    with os.fdopen(result, "w") as stream:
        stream.write(json.dumps(answering) + "\n")


if __name__ == "__main__":
    main()
