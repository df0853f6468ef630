"""The tuned model and the prompts of the evaluation benchmark: `python -m benchmarks.eval_model BANKING77 FOLDER`.

The model is LoRA on Banking77 as `make bench-methods` trains it, and what that has trained is reused; or an artifact that is named.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.eval_job import Prompt
from benchmarks.methods_one import Size, configure, prepare, train_on
from benchmarks.train_rows import draw
from pipeline_config.environment import read_machine
from pipeline_config.errors import EvaluationError
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.model import ModelConfig
from tasks.chat import encode_prompt
from tasks.manifest import Dtype, read_manifest
from tasks.methods import find_method
from tasks.models import load_base, load_tokenizer
from tasks.rows import answer_of, prompt_of


class Plan(TypedDict):
    """What is asked, and of which model. `shared` are the tokens that all prompts begin with."""

    version: str
    merged: str
    prompts: str
    rows: int
    limit: int
    shared: int
    tokens: int


def trained_version(size: Size) -> Path:
    """The artifact of LoRA with its default settings, trained now if nobody has before."""
    workspace = read_machine().workspace
    config = configure("lora", size)

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    return train_on(config, workspace, prepare(config, workspace), say).artifact


def tuned(version: Path, dtype: Dtype) -> tuple[Any, Any]:
    """A base in a precision with the version's weights beside it, and the tokenizer."""
    base, method = load_base(ModelConfig(dtype=dtype), read_machine().workspace), find_method(read_manifest(version).method)
    tree = method.load(base.model, "tuned", version).eval()
    method.activate(tree, "tuned")
    return tree, base.tokenizer


def merged(version: Path, dtype: Dtype) -> tuple[Any, Any]:
    """The same as a plain model, with transformers' own attention.

    Raises:
        EvaluationError: the weights cannot be folded in.
    """
    method = find_method(read_manifest(version).method)
    if method.merge is None:
        raise EvaluationError(f"a version of {method.name} cannot be merged", where=str(version), expected="one that the peers can serve")
    tree, tokenizer = tuned(version, dtype)
    plain = method.merge(tree)
    plain.set_attn_implementation("sdpa")
    return plain, tokenizer


def write_prompts(banking: Path, path: Path, rows: int) -> list[Prompt]:
    """The first rows of the test file after a seeded shuffle."""
    tokenizer = load_tokenizer(ModelConfig(), read_machine().workspace)
    drawn = [(prompt_of(row), answer_of(row)) for row in draw(banking / "test.csv", rows)]
    prompts: list[Prompt] = [
        {
            "messages": [{"role": turn["role"], "content": turn["content"]} for turn in chat], "ids": encode_prompt(tokenizer, chat),
            "expected": answer,
        }
        for chat, answer in drawn
    ]  # fmt: skip
    path.write_text(json.dumps(prompts), encoding="utf-8")
    return prompts


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: writes everything, and a line of JSON (:class:`Plan`)."""
    from tasks.batching import common_prefix_length

    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval_model", description="The tuned model and the prompts.")
    parser.add_argument("banking", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--size", type=Size, default=Size.FULL)
    parser.add_argument("--version", type=Path)
    given = parser.parse_args(arguments)
    folder: Path = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    version: Path = (given.version or trained_version(given.size)).absolute()
    for part in merged(version, "bfloat16"):
        part.save_pretrained(folder / "merged")
    prompts = write_prompts(given.banking, folder / "prompts.json", given.rows)
    ids = [prompt["ids"] for prompt in prompts]
    plan: Plan = {
        "version": str(version), "merged": str(folder / "merged"), "prompts": str(folder / "prompts.json"), "rows": len(prompts),
        "limit": EvaluationConfig().max_new_tokens, "shared": common_prefix_length(ids), "tokens": sum(map(len, ids)),
    }  # fmt: skip
    sys.stdout.write(json.dumps(plan) + "\n")


if __name__ == "__main__":
    main()
