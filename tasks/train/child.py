"""The training process: `python -m tasks.train.child REQUEST`. Standard input is the parent's lifeline, standard output carries events."""

import logging
import math
import os
import resource
import sys
import threading
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from pipeline_config.errors import DataError, TunegateError
from tasks.artifacts import CurvePoint
from tasks.chat import EncodedRow, as_judged, encode_plain, encode_row
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
    from transformers import set_seed

    from tasks.methods import find_method
    from tasks.methods.method import TaskText
    from tasks.methods.settings import trainer_fields
    from tasks.models import load_base
    from tasks.train.lean import use_lean_layers
    from tasks.train.precision import forward_precision, hold_in_fp32
    from tasks.train.sampling import order_for
    from tasks.train.trainer import CompletionTrainer, Reporter, SealCheckpoints, StopOnRequest, stopping_callbacks, trainer_arguments

    method = find_method(request.training.method)
    base = load_base(request.model, request.workspace, method.quantization)
    training = [encode_row(base.tokenizer, row) for row in read_rows(request.data_folder / "train.parquet")]
    validation = [encode_row(base.tokenizer, row) for row in read_rows(request.data_folder / "validation.parquet")]
    _require_something_to_learn(training)
    pad_id = base.tokenizer.pad_token_id or 0
    samples = _samples(request, training)
    _use_liger(request, base.model, samples, pad_id)
    set_seed(request.training.seed)
    text = TaskText(instruction=request.instruction, encode=partial(encode_plain, base.tokenizer))
    model = method.attach(base.model, request.training, text)
    hold_in_fp32(model)
    if model.device.type == "cpu":
        use_lean_layers(model)
    precision = forward_precision(model, request.model.dtype)
    with precision():
        layout = _choose_layout(request, model, samples, pad_id)
    folder = request.folder / SCRATCH / "checkpoints"
    arguments = trainer_arguments(request.training, folder, len(training), _optimizer(request, method))
    order = order_for(layout.name, arguments, training, trainer_fields(request.training).get("train_sampling_strategy"))
    reporter, stop = Reporter(_memory_bytes), StopOnRequest(parent_gone.is_set)
    trainer = CompletionTrainer(
        layout=layout, pad_id=pad_id, precision=precision, order=order, model=model, args=arguments, train_dataset=training,
        eval_dataset=validation,
        callbacks=[reporter, stop, SealCheckpoints(), *stopping_callbacks(request.training)],
    )  # fmt: skip
    _run(trainer, _checkpoint_to_go_on_from(folder))
    if stop.stopped:
        emit(Interrupted(step=trainer.state.global_step))
        return INTERRUPTED
    curve = _finished_curve(trainer)
    model.eval()
    digest = _write_artifact(request, base, method, model)
    emit(_finished(trainer, request, curve, artifact_digest=digest, base_digest=base.identity.digest, rate=reporter.tokens_per_second()))
    return 0


def _samples(request: TrainingRequest, rows: list[EncodedRow]) -> list[EncodedRow]:
    """Rows to check layouts and kernels with, padded half of what a step of training has: that takes less memory than the step will."""
    from tasks.batching import rows_to_check

    tokens = sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows)
    return rows_to_check(rows, request.training.per_device_train_batch_size * tokens // len(rows) // 2)


def _choose_layout(request: TrainingRequest, model: Any, rows: list[EncodedRow], pad_id: int) -> Any:
    from tasks.attention_cuda import KERNELS
    from tasks.batching import choose_layout

    choice = choose_layout(model, rows, pad_id, tolerance=_TOLERANCE[request.model.dtype])
    for refusal in choice.refused:
        emit(Note(text=f"layout {refusal.layout} is not used, training falls back to a slower one: {refusal.why}"))
    if model.device.type == "cuda":
        kernel = KERNELS.get(choice.layout.name, "no kernel for packed rows")
        emit(Note(text=f"attention on the GPU is computed by {kernel} (layout {choice.layout.name})"))
    return choice.layout


def _use_liger(request: TrainingRequest, model: Any, rows: list[EncodedRow], pad_id: int) -> None:
    from tasks.batching import PADDED, mean_loss
    from tasks.methods.settings import trainer_fields
    from tasks.train.liger import use_liger

    wanted = trainer_fields(request.training).get("use_liger_kernel")
    loss = partial(mean_loss, PADDED, model, rows, rows_per_batch=len(rows), pad_id=pad_id)
    note = use_liger(model, wanted, loss, max(1e-3, _TOLERANCE[request.model.dtype]))
    if note is not None:
        emit(Note(text=note))


def _optimizer(request: TrainingRequest, method: Any) -> str:
    import torch

    from tasks.methods.settings import trainer_fields
    from tasks.train.optimizers import choose_optimizer

    wanted = trainer_fields(request.training).get("optim")
    name, note = choose_optimizer(wanted, quantized=method.quantization is not None, cuda=torch.cuda.is_available())
    if note is not None:
        emit(Note(text=note))
    return name


def _checkpoint_to_go_on_from(folder: Path) -> Path | None:
    from tasks.train import checkpoints

    whole = checkpoints.newest_whole(folder)
    for name in checkpoints.discard_newer(folder, whole):
        emit(Note(text=f"{name} is not whole and is passed over"))
    if whole is not None:
        emit(Note(text=f"going on from {whole.name}"))
    return whole


def _run(trainer: Any, resumed: Path | None) -> None:
    """Trains to the end, from a checkpoint if there is one."""
    from tasks.train.checkpoints import step_of

    trainable, everything = _count_parameters(trainer.model)
    emit(
        Started(
            steps=_planned_steps(trainer), first_step=step_of(resumed) if resumed is not None else 0, layout=trainer.layout.name,
            trainable_parameters=trainable, all_parameters=everything,
        )
    )  # fmt: skip
    if trainer.args.num_train_epochs == 0 or (resumed is not None and trainer.take_up_if_ended(resumed)):
        return
    trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)


def _finished_curve(trainer: Any) -> tuple[CurvePoint, ...]:
    """The validation curve; it always ends with a point for the last step, which is what ships unless an earlier one is better."""
    from tasks.train.trainer import curve_of

    curve = curve_of(trainer.state.log_history)
    if trainer.state.global_step and not trainer.args.load_best_model_at_end and curve[-1].step != trainer.state.global_step:
        trainer.evaluate()
        curve = curve_of(trainer.state.log_history)
    return tuple(curve)


def _finished(
    trainer: Any, request: TrainingRequest, curve: tuple[CurvePoint, ...], *, artifact_digest: str, base_digest: str, rate: float | None
) -> Finished:
    import torch

    from tasks.train.trainer import tokens_of

    state = trainer.state
    tokens, supervised = tokens_of(state.log_history)
    return Finished(
        artifact_digest=artifact_digest, base_digest=base_digest, steps=state.global_step, shipped_step=_shipped_step(state, request),
        curve=curve, stopped_early=0 < state.global_step < state.max_steps, layout=trainer.layout.name, supervised_tokens=supervised,
        total_tokens=tokens, tokens_per_second=rate,
        peak_memory_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _peak_memory_bytes(),
    )  # fmt: skip


def _planned_steps(trainer: Any) -> int:
    from tasks.train.sampling import steps_per_epoch

    return math.ceil(steps_per_epoch(len(trainer.train_dataset), trainer.args) * float(trainer.args.num_train_epochs))


def _shipped_step(state: Any, request: TrainingRequest) -> int:
    if request.training.load_best_model_at_end and state.best_model_checkpoint:
        return int(state.best_model_checkpoint.rpartition("-")[2])
    return int(state.global_step)


def _require_something_to_learn(rows: list[EncodedRow]) -> None:
    # The end-of-turn token alone is no answer: a run that learns nothing else looks healthy, with a loss near zero.
    if not any(len(set(compress(row["completion_ids"], row["supervised"]))) > 1 for row in rows):
        raise DataError("no row has a token to learn", where="training rows", expected="answers with text", hint="see data.source.columns")


def _count_parameters(model: Any) -> tuple[int, int]:
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in model.parameters())


def _write_artifact(request: TrainingRequest, base: Any, method: Any, model: Any) -> str:
    import polars as pl

    folder = request.folder / "artifact"
    folder.mkdir(exist_ok=True)
    method.save(model, folder, request.model.name_or_path)
    base.tokenizer.save_pretrained(folder)
    as_judged(base.tokenizer, request.max_new_tokens).save_pretrained(folder)
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
    """Memory now: what the GPU has set aside for this process, or else what is resident."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.memory_reserved())
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize() or _peak_memory_bytes()


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
