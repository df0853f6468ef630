"""Which fields of `transformers.TrainingArguments` are passed on, which are refused and why, and what older names mean.

A field that is neither a key of `training` nor named here goes to Trainer as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline_config.passing import Mapped, Names


def _because(reason: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, reason)


REFUSED: Mapping[str, str] = {
    **_because("a run keeps its files in the workspace (TUNEGATE_WORKSPACE)", "output_dir", "logging_dir", "overwrite_output_dir"),
    **_because(
        "nothing is published by training; a version goes to the model registry, and to production when its gates pass",
        "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision",
        "push_to_hub_model_id", "push_to_hub_organization", "push_to_hub_token",
    ),
    **_because(
        "metrics go to MLflow, Prefect and the terminal, and nowhere else",
        "report_to", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
    ),
    **_because("a run is named by its start and its flow run; see `registry.experiment`", "run_name"),
    **_because("it hides losses that are not a number; here such a loss stops the run", "logging_nan_inf_filter"),
    **_because(
        "every step is reported",
        "logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node", "disable_tqdm", "include_num_input_tokens_seen",
    ),
    **_because("peak memory is always measured", "skip_memory_metrics"),
    **_because("`training.evals_per_epoch` says how often validation is done", "eval_steps", "eval_delay"),
    **_because("the curve that the overfitting gate reads begins after the first trained steps", "eval_on_start"),
    **_because(
        "validation computes one figure, the loss in nats per supervised token, and keeps no predictions",
        "prediction_loss_only", "eval_accumulation_steps", "eval_do_concat_batches", "eval_use_gather_object", "include_for_metrics",
        "batch_eval_metrics", "include_inputs_for_metrics",
    ),
    **_because("the best checkpoint is the one with the lowest validation loss", "metric_for_best_model", "greater_is_better"),
    **_because(
        "each validation pass writes a whole, sealed checkpoint, and the last and the best are kept",
        "save_strategy", "save_steps", "save_total_limit", "save_only_model", "save_on_each_node", "save_safetensors",
        "enable_jit_checkpoint",
    ),
    **_because("a run goes on from its own newest whole checkpoint, by itself", "resume_from_checkpoint"),
    **_because("a resumed run must equal one that was not interrupted", "ignore_data_skip", "restore_callback_states_from_checkpoint"),
    **_because(
        "rows are laid out by tunegate, which needs their fields as they are",
        "remove_unused_columns", "label_names", "length_column_name",
    ),
    **_because("every row is trained on once an epoch", "dataloader_drop_last"),
    **_because("`training.epochs` says how long; it may be a fraction", "max_steps"),
    **_because("tunegate computes the loss, and smooths no labels", "label_smoothing_factor"),
    **_because("its noise is scaled by the length of the row, which packed rows have not", "neftune_noise_alpha"),
    **_because("a run must not change its batch size unseen; lower `training.per_device_train_batch_size`", "auto_find_batch_size"),
    **_because("losses are weighted by tokens, always", "average_tokens_across_devices"),
    **_because("training, evaluation and serving load the base in `model.dtype`", "bf16_full_eval", "fp16_full_eval"),
    **_because("which of Liger's kernels are used is fixed: those that leave the loss to tunegate", "liger_kernel_config"),
    **_because("packed rows and a cache of keys and values exclude each other", "use_cache"),
    **_because("a GPU is used where there is one; hide it with CUDA_VISIBLE_DEVICES=", "use_cpu", "no_cuda", "use_mps_device"),
    **_because(
        "training runs in one process",
        "local_rank", "fsdp", "fsdp_config", "deepspeed", "parallelism_config", "ddp_find_unused_parameters", "ddp_bucket_cap_mb",
        "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout",
    ),
    **_because("the pipeline trains, validates and tests, always", "do_train", "do_eval", "do_predict"),
    **_because("the tokenizer is the one of `model.name_or_path`", "tokenizer", "processing_class"),
    **_because("the longest row is `model.max_length`", "max_seq_length", "max_length"),
    **_because("rows are packed wherever the model answers the same for it", "packing"),
    **_because("the base is quantised by `training.method: qlora`", "load_in_4bit", "load_in_8bit"),
}  # fmt: skip
"""Names that are never passed on, each with the reason. Some are no longer Trainer's, but stand in many a script."""


def _read(kind: Any, value: Any, expected: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        raise ValueError(f"expected {expected}") from None


def _same(name: str, instead: str, kind: Any, expected: str) -> Callable[[Any], Mapped]:
    def mapped(value: Any) -> Mapped:
        read = _read(kind, value, expected)
        return Mapped({instead: read}, f"training.{name} is taken as training.{instead} = {read}")

    return mapped


def _warmup_ratio(value: Any) -> Mapped:
    ratio = _read(float, value, "a share of all steps, from 0 to below 1")
    if not 0 <= ratio < 1:
        raise ValueError("expected a share of all steps, from 0 to below 1")
    return Mapped(
        {"warmup_steps": ratio},
        f"training.warmup_ratio is taken as training.warmup_steps = {ratio:g}; below 1 that is a share of all steps",
    )


def _strategy(name: str) -> Callable[[Any], Mapped]:
    def mapped(value: Any) -> Mapped:
        if value == "epoch":
            return Mapped({"evals_per_epoch": 1}, f"training.{name}: epoch is taken as training.evals_per_epoch = 1")
        if value == "steps":
            return Mapped({}, f"training.{name}: steps changes nothing: training.evals_per_epoch says how often validation is done")
        raise ValueError("expected `epoch` or `steps`: without validation nobody would see overfitting")

    return mapped


def _half(name: str) -> Callable[[Any], Mapped]:
    def mapped(value: Any) -> Mapped:
        wanted = str(_read(bool, value, "true or false")).lower()
        return Mapped(
            {}, f"training.{name}: {wanted} changes nothing: the base is in model.dtype, and the weights that are trained are in fp32"
        )

    return mapped


def _group_by_length(value: Any) -> Mapped:
    strategy = "group_by_length" if _read(bool, value, "true or false") else "random"
    return Mapped(
        {"train_sampling_strategy": strategy}, f"training.group_by_length is taken as training.train_sampling_strategy = {strategy}"
    )


def _adafactor(value: Any) -> Mapped:
    if not _read(bool, value, "true or false"):
        return Mapped({}, "training.adafactor: false changes nothing: training.optim names the optimizer")
    return Mapped({"optim": "adafactor"}, "training.adafactor is taken as training.optim = adafactor")


OLDER: Mapping[str, Callable[[Any], Mapped]] = {
    "num_train_epochs": _same("num_train_epochs", "epochs", float, "a number of passes"),
    "warmup_ratio": _warmup_ratio,
    "evaluation_strategy": _strategy("evaluation_strategy"),
    "eval_strategy": _strategy("eval_strategy"),
    "fp16": _half("fp16"),
    "bf16": _half("bf16"),
    "group_by_length": _group_by_length,
    "adafactor": _adafactor,
    "per_gpu_train_batch_size": _same("per_gpu_train_batch_size", "per_device_train_batch_size", int, "a number of rows"),
    "per_gpu_eval_batch_size": _same("per_gpu_eval_batch_size", "per_device_eval_batch_size", int, "a number of rows"),
}
"""Names of the guide, of older versions or of Trainer, for what is another key here."""

HELD: Mapping[str, Any] = {
    "push_to_hub": False, "report_to": "none", "logging_nan_inf_filter": False, "remove_unused_columns": False, "use_cache": False,
    "metric_for_best_model": "eval_loss", "greater_is_better": False, "save_only_model": False, "average_tokens_across_devices": True,
    "restore_callback_states_from_checkpoint": True, "do_train": True, "do_eval": True, "disable_tqdm": True, "logging_steps": 1,
    "auto_find_batch_size": False, "label_smoothing_factor": 0.0, "dataloader_drop_last": False, "max_steps": -1,
}  # fmt: skip
"""What some refused fields are here anyway."""

TRAINER = Names(library_class="TrainingArguments", refused=REFUSED, held=HELD, older=OLDER)
