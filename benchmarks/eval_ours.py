"""We as a contender: `python -m benchmarks.eval_ours JOB`. The engine of every evaluation, with the adapter beside its base."""

import json
import sys
import time
from pathlib import Path

from benchmarks.eval_job import WARM_UP, Answering, Job, read_job, read_prompts
from benchmarks.results import versions_of
from pipeline_config.environment import read_machine
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.model import ModelConfig
from tasks.engine import open_engine
from tasks.rows import Message


def answer(job: Job) -> Answering:
    """Answers all prompts, in batches as large as a run's by default."""
    engine = open_engine(ModelConfig(dtype="bfloat16"), read_machine().workspace)
    engine.load_adapter("tuned", Path(job.version))
    chats: list[list[Message]] = [
        [{"role": turn["role"], "content": turn["content"]} for turn in prompt["messages"]] for prompt in read_prompts(job)
    ]
    size = EvaluationConfig().batch_size

    def ask(chats: list[list[Message]]) -> list[str]:
        answers = engine.answer(chats, adapter="tuned", max_new_tokens=job.limit, batch_size=size)
        return [answer.text for answer in answers]

    ask(chats[:WARM_UP])
    began = time.perf_counter()
    texts = ask(chats)
    return {"seconds": time.perf_counter() - began, "answers": texts, "version": versions_of("torch", "transformers", "peft")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(read_job(sys.argv[1]))) + "\n")
