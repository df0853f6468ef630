"""The training process: `python -m tasks.train.child REQUEST`. Standard input is the parent's lifeline, standard output carries events."""

import logging
import os
import resource
import sys
import threading
from itertools import compress
from pathlib import Path
from typing import Any

from pipeline_config.errors import DataError, TunegateError
from tasks.artifacts import CurvePoint
from tasks.chat import EncodedRow, encode_row
from tasks.files import file_digests, read_json
from tasks.manifest import TRAIN_ROWS, Manifest, write_manifest
from tasks.rows import read_rows
from tasks.stages import SCRATCH
from tasks.train.events import Failed, Finished, Interrupted, Note, Started, TrainingRequest, emit

INTERRUPTED = 75
"""Exit code after a stop on request (EX_TEMPFAIL: run again to go on)."""

_TOLERANCE = {"bfloat16": 1e-2, "float32": 1e-5}
"""Largest relative difference of packed and padded loss that rounding explains."""


def main() -> int:
    """Trains as the request file says; returns the exit code."""
    # Libraries print to standard output; events must not mix with that.
    sys.stdout = sys.stderr
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    request = TrainingRequest.model_validate(read_json(Path(sys.argv[1])))
    parent_gone = _watch_parent()
    try:
        return _train(request, parent_gone)
    except TunegateError as error:
        emit(Failed(kind=type(error).__name__, what=error.what, where=error.where, expected=error.expected, hint=error.hint))
        return 1


def _watch_parent() -> threading.Event:
    """Set at the end of file of standard input: the parent asks to stop, or is dead."""
    gone = threading.Event()

    def wait_for_end() -> None:
        while os.read(0, 1024):
            pass
        gone.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    return gone


def _train(request: TrainingRequest, parent_gone: threading.Event) -> int:
    import torch
    from transformers import set_seed

    from tasks.batching import choose_layout
    from tasks.methods import METHODS
    from tasks.models import load_base
    from tasks.train import checkpoints
    from tasks.train.trainer import CompletionTrainer, Reporter, SealCheckpoints, StopOnRequest, stopping_callbacks, trainer_arguments

    base = load_base(request.model, request.workspace)
    training = [encode_row(base.tokenizer, row) for row in read_rows(request.data_folder / "train.parquet")]
    validation = [encode_row(base.tokenizer, row) for row in read_rows(request.data_folder / "validation.parquet")]
    total, supervised = _count_tokens(training)
    set_seed(request.training.seed)
    method = METHODS[request.training.method]
    model = method.attach(base.model, request.training)
    pad_id = base.tokenizer.pad_token_id or 0
    choice = choose_layout(model, training[:4], pad_id, tolerance=_TOLERANCE[request.model.dtype])
    layout = choice.layout
    for refusal in choice.refused:
        emit(Note(text=f"layout {refusal.layout} is not used, training falls back to a slower one: {refusal.why}"))
    folder = request.folder / SCRATCH / "checkpoints"
    resumed = checkpoints.newest_whole(folder)
    if resumed is not None:
        emit(Note(text=f"going on from {resumed.name}"))
    reporter, stop = Reporter(total, _memory_bytes), StopOnRequest(parent_gone.is_set)
    trainer = CompletionTrainer(
        layout=layout, pad_id=pad_id, model=model, args=trainer_arguments(request.training, folder, len(training)),
        train_dataset=training, eval_dataset=validation,
        callbacks=[reporter, stop, SealCheckpoints(), *stopping_callbacks(request.training)],
    )  # fmt: skip
    trainable, everything = _count_parameters(model)
    first = int(resumed.name.rpartition("-")[2]) if resumed is not None else 0
    emit(
        Started(
            steps=_planned_steps(trainer), first_step=first, layout=layout.name, trainable_parameters=trainable, all_parameters=everything
        )
    )
    if request.training.epochs > 0:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)
    if stop.stopped:
        emit(Interrupted(step=trainer.state.global_step))
        return INTERRUPTED
    curve = _finished_curve(trainer)
    model.eval()
    digest = _write_artifact(request, base, method, model)
    state = trainer.state
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _peak_memory_bytes()
    emit(
        Finished(
            artifact_digest=digest, base_digest=base.identity.digest, steps=state.global_step,
            shipped_step=_shipped_step(state, request), curve=curve,
            stopped_early=0 < state.global_step < state.max_steps, layout=layout.name,
            supervised_tokens=round(supervised * (state.epoch or 0)), total_tokens=round(total * (state.epoch or 0)),
            tokens_per_second=reporter.tokens_per_second(state), peak_memory_bytes=peak,
        )
    )  # fmt: skip
    return 0


def _finished_curve(trainer: Any) -> tuple[CurvePoint, ...]:
    """The validation curve; it always ends with a point for the last step, which is what ships unless an earlier one is better."""
    from tasks.train.trainer import curve_of

    curve = curve_of(trainer.state.log_history)
    if trainer.state.global_step and not trainer.args.load_best_model_at_end and curve[-1].step != trainer.state.global_step:
        trainer.evaluate()
        curve = curve_of(trainer.state.log_history)
    return tuple(curve)


def _planned_steps(trainer: Any) -> int:
    arguments = trainer.args
    loader = trainer.get_train_dataloader()
    return int(max(1, len(loader) // arguments.gradient_accumulation_steps) * arguments.num_train_epochs)


def _shipped_step(state: Any, request: TrainingRequest) -> int:
    if request.training.load_best_model_at_end and state.best_model_checkpoint:
        return int(state.best_model_checkpoint.rpartition("-")[2])
    return int(state.global_step)


def _count_tokens(rows: list[EncodedRow]) -> tuple[int, int]:
    """Tokens of all rows, and how many of them carry loss."""
    supervised = sum(sum(row["supervised"]) for row in rows)
    # The end-of-turn token alone is no answer: a run that learns nothing else looks healthy, with a loss near zero.
    if not any(len(set(compress(row["completion_ids"], row["supervised"]))) > 1 for row in rows):
        raise DataError("no row has a token to learn", where="training rows", expected="answers with text", hint="see data.source.columns")
    return sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows), supervised


def _count_parameters(model: Any) -> tuple[int, int]:
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in model.parameters())


def _write_artifact(request: TrainingRequest, base: Any, method: Any, model: Any) -> str:
    import polars as pl

    folder = request.folder / "artifact"
    folder.mkdir(exist_ok=True)
    method.save(model, folder, request.model.name_or_path)
    base.tokenizer.save_pretrained(folder)
    sides = [
        pl.read_parquet(request.data_folder / f"{side}.parquet", columns=["row_id", "digest"]).with_columns(side=pl.lit(side))
        for side in ("train", "validation")
    ]
    pl.concat(sides).write_parquet(folder / TRAIN_ROWS)
    manifest = Manifest(
        method=method.name, base=base.identity, instruction=request.instruction, labels=request.labels,
        max_new_tokens=request.max_new_tokens, masked_kinds=request.masked_kinds, data_digest=request.data_digest,
        code_revision=request.code_revision, files=file_digests(folder, leave_out=["manifest.json"]),
    )  # fmt: skip
    return write_manifest(folder, manifest)


def _memory_bytes() -> int:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize() or _peak_memory_bytes()


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
