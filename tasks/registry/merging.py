"""One model out of a base and an adapter: PEFT's own merge into weights of 16 or 32 bits, kept only if it answers as the adapter does."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.artifacts import Record
from tasks.chat import as_judged
from tasks.engine import TransformersEngine
from tasks.manifest import Dtype, Manifest, read_manifest
from tasks.methods import find_method
from tasks.models import load_base
from tasks.registry.evidence import MERGE_ROWS
from tasks.registry.opening import NAME, open_version
from tasks.rows import Message

_log = logging.getLogger(__name__)


class JudgedAnswer(Record):
    """A test prompt, and the adapter's answer to it that was judged."""

    messages: tuple[Message, ...]
    answer: str


def require_mergeable(manifest: Manifest) -> None:
    """Refuses weights that cannot be folded into others.

    Raises:
        ModelError: the method can't, or the version is a whole model already.
    """
    method = find_method(manifest.method)
    if method.own_tree:
        raise ModelError(
            "the version is one whole model already", where="--merged", expected="an adapter", hint="leave --merged out"
        )  # fmt: skip
    if not method.mergeable:
        raise ModelError(
            f"weights of method {manifest.method} cannot be folded into a base: they are no change of its weights", where="--merged",
            expected="lora, qlora or ia3", hint="leave --merged out",
        )  # fmt: skip


def write_merged(artifact: Path, base: Path, folder: Path, dtype: Dtype | None = None) -> None:
    """Writes the merged model with its tokenizer and generation config.

    A base that was trained on in 4 bits is dequantised first, so that the merged weights are those that the adapter corrected; the merge
    itself never sees 4 bits.

    Args:
        base: the base's folder.
        folder: does not exist yet.
        dtype: precision of what is written; null: as the base is served.

    Raises:
        ModelError: the method cannot be merged, or the artifact is damaged.
    """
    manifest = read_manifest(artifact)
    require_mergeable(manifest)
    method, precision = find_method(manifest.method), dtype or manifest.base.dtype
    loaded = load_base(ModelConfig(name_or_path=str(base.absolute()), dtype=precision), base, manifest.base.quantization)
    plain = loaded.model.dequantize() if manifest.base.quantization is not None else loaded.model
    assert method.merge is not None
    merged = method.merge(method.load(plain, NAME, artifact))
    _require_precision(merged, precision)
    merged.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    as_judged(loaded.tokenizer, manifest.max_new_tokens).save_pretrained(folder)


def _require_precision(model: Any, wanted: Dtype) -> None:
    """Holds all weights against the precision that was asked for: what stayed in 4 bits would be of another type."""
    found = {str(weights.dtype).removeprefix("torch.") for weights in model.parameters()}
    if found != {wanted}:
        raise ModelError(f"the merged weights are {', '.join(sorted(found))}", where="--merged", expected=wanted)


def read_answers(path: Path, count: int = MERGE_ROWS) -> list[JudgedAnswer]:
    """The first `count` test prompts of a version's evidence with the answers that were judged.

    Raises:
        ModelError: there are none, or the file is damaged.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
        rows = [JudgedAnswer.model_validate(json.loads(line)) for line in lines[:count]]
    except (OSError, ValueError) as error:
        raise ModelError(f"the version's test answers cannot be read: {error}", where=str(path)) from error
    if not rows:
        raise ModelError("the version has no test answers to compare with", where=str(path), expected="at least one row")
    return rows


def prove_merged(folder: Path, artifact: Path, base: Path, rows: Sequence[JudgedAnswer], dtype: Dtype | None = None) -> None:
    """Asks the merged model, as it lies in its folder, for every row's answer.

    An answer that is not the judged one is held against the adapter's on this machine, which may compute otherwise than the one that
    judged did.

    Raises:
        ModelError: an answer differs.
    """
    manifest = read_manifest(artifact)
    config = ModelConfig(name_or_path=str(folder.absolute()), dtype=dtype or manifest.base.dtype)
    answers = _ask(TransformersEngine(load_base(config, folder)), rows, manifest, adapter=None)
    off = [number for number, row in enumerate(rows) if answers[number] != row.answer]
    if not off:
        return
    _log.warning("%d of %d answers are not those that were judged: the adapter is asked on this machine, too", len(off), len(rows))
    here = _ask(open_version(artifact, base), [rows[number] for number in off], manifest, adapter=NAME)
    wrong = [(number, answer) for number, answer in zip(off, here, strict=True) if answers[number] != answer]
    if wrong:
        number, answer = wrong[0]
        raise ModelError(
            f"{len(wrong)} of {len(rows)} answers of the merged model differ from the adapter's; row {number + 1}: "
            f"{answers[number]!r} for {answer!r}", where="--merged", expected="the same greedy answers",
            hint="`--dtype float32` rounds less, at twice the size; or use the adapter beside its base",
        )  # fmt: skip


def _ask(engine: TransformersEngine, rows: Sequence[JudgedAnswer], manifest: Manifest, adapter: str | None) -> list[str]:
    """Each row alone, as the endpoint answers."""
    prompts = [row.messages for row in rows]
    return [answer.text for answer in engine.answer(prompts, adapter=adapter, max_new_tokens=manifest.max_new_tokens)]
