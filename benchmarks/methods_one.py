"""One method on Banking77, from preparation to its answers: `python -m benchmarks.methods_one METHOD full|quick`.

Stages are kept in the workspace's store as those of any run: what was finished is reused, a training that was killed goes on.
"""

import enum
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from pipeline_config.environment import read_machine
from pipeline_config.errors import EvaluationError, TunegateError
from pipeline_config.loading import load_config
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.training import TrainingConfig
from tasks.artifacts import EvaluationResult, PreparedData, Record, TrainedModel
from tasks.files import read_json, sha256_json, stage_store, write_json
from tasks.methods.settings import read_settings, settle
from tasks.models import identify_base
from tasks.revision import code_revision
from tasks.stages import run_stage
from tasks.train.events import Note, Step, Validated

SEVEN = ("full", "lora", "qlora", "prefix", "prompt", "adapter", "ia3")
EPOCHS = {"prefix": 4, "prompt": 4}
"""At most; two for all others, which change weights."""

_GIB, _MIB = 2**30, 2**20
_SECONDS_BETWEEN_LINES = 30.0


class Size(enum.Enum):
    """How many rows."""

    FULL = "full"
    QUICK = "quick"


_ROWS = {
    Size.FULL: ["data.max_test_rows=null"],
    Size.QUICK: ["data.max_train_rows=90", "data.max_test_rows=77", "data.checks.embedded_rows=0"],
}
"""Of the preset's data settings, what is different; it keeps 2,500 training rows."""


class Measured(TypedDict):
    """One method's figures. Losses in nats a token of the answer; `adapter_mib` of weights on disk; `seconds` of optimizer steps."""

    method: str
    accuracy: float
    base_accuracy: float
    heldout_loss: float | None
    trainable_parameters: int
    peak_gib: float
    adapter_mib: float
    seconds: float
    epochs: float
    learning_rate: float
    train_rows: int
    test_rows: int
    layout: str
    revision: str | None


def configure(method: str, size: Size) -> PipelineConfig:
    """The preset's data, the method's own defaults, and no more epochs than it may have.

    Raises:
        ConfigError: BANKING77_DIR is not set.
        ValidationError: there is no such method.
    """
    preset = load_config("banking77", overrides=_ROWS[size])
    default = settle(TrainingConfig.model_validate({"method": method})).training
    training = default.model_copy(update={"epochs": min(default.epochs, EPOCHS.get(method, 2))})
    return preset.model_copy(update={"training": training})


def result_file(method: str, size: Size, folder: Path) -> Path:
    """Where a method's result belongs, by the settings that it depends on."""
    config = configure(method, size)
    settings = config.model_dump(mode="json", include={"data", "model", "evaluation"})
    settings["training"] = read_settings(settle(config.training).training)
    for location in ("path", "test_path"):
        settings["data"]["source"].pop(location)
    return folder / f"{method}-{sha256_json(settings)[:12]}.json"


def measured_before(method: str, size: Size, folder: Path) -> Measured | None:
    """A method's result with the settings as they are now; null if there is none, or no such method."""
    try:
        path = result_file(method, size, folder)
    except ValueError:  # what pydantic's error is
        return None
    measured: Measured | None = read_json(path) if path.is_file() else None
    return measured


def measure(method: str, size: Size, workspace: Path, say: Callable[[str], None]) -> Measured:
    """All stages of one method.

    Raises:
        TunegateError: whatever a stage raises.
    """
    config = configure(method, size)
    settings = settle(config.training).training
    prepared = prepare(config, workspace)
    say(f"{method}: {prepared.counts.train} training rows, {prepared.counts.test} test rows")
    trained = train_on(config, workspace, prepared, say)
    evaluated = _evaluate(config, workspace, prepared, trained, say)
    parameters, size_bytes = weights_of(trained.artifact)
    accuracy, base_accuracy, perplexity = evaluated.tuned.get("accuracy"), evaluated.base.get("accuracy"), evaluated.tuned.get("perplexity")
    if accuracy is None or base_accuracy is None or not trained.tokens_per_second:
        raise EvaluationError("there is no accuracy, or no training step", where=method, expected="answers to the test rows")
    return {
        "method": method,
        "accuracy": accuracy,
        "base_accuracy": base_accuracy,
        "heldout_loss": math.log(perplexity) if perplexity else None,
        "trainable_parameters": parameters,
        "peak_gib": trained.peak_memory_bytes / _GIB,
        "adapter_mib": size_bytes / _MIB,
        "seconds": trained.total_tokens / trained.tokens_per_second,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "train_rows": prepared.counts.train,
        "test_rows": evaluated.rows,
        "layout": trained.layout,
        "revision": code_revision(),
    }


def prepare(config: PipelineConfig, workspace: Path) -> PreparedData:
    """The preset's rows, or those of an earlier call with the same settings."""
    from tasks.data.prepare import prepare_data
    from tasks.data.sources import source_digests
    from tasks.data.template import template_of
    from tasks.embeddings import EmbeddedEmbedder

    inputs = {
        "sources": source_digests(config.data.source),
        "data": config.data.model_dump(mode="json", exclude={"source": {"path", "test_path"}}),
        "max_length": config.model.max_length,
        "base": identify_base(config.model, workspace).digest,
    }

    def build(folder: Path) -> PreparedData:
        return prepare_data(config.data, template=template_of(config.model, workspace), folder=folder, embedder=EmbeddedEmbedder())

    return run_stage(stage_store(workspace), "benchmark-prepare", inputs, PreparedData, build).value


def train_on(config: PipelineConfig, workspace: Path, data: PreparedData, say: Callable[[str], None]) -> TrainedModel:
    """Trains, or finds what an earlier call with the same settings trained."""
    from tasks.train.events import TrainingRequest
    from tasks.train.train import train

    inputs = {
        "data": data.digest,
        "base": identify_base(config.model, workspace).model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
        "max_new_tokens": config.evaluation.max_new_tokens,
    }

    def build(folder: Path) -> TrainedModel:
        request = TrainingRequest(
            workspace=workspace, folder=folder, data_folder=data.folder, data_digest=data.digest, instruction=data.instruction,
            labels=data.labels, max_new_tokens=config.evaluation.max_new_tokens, code_revision=code_revision(), model=config.model,
            training=settle(config.training).training,
        )  # fmt: skip
        return train(request, read_machine().child_environment(), _teller(config.training.method, say))

    return run_stage(stage_store(workspace), "benchmark-train", inputs, TrainedModel, build).value


def _evaluate(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, say: Callable[[str], None]
) -> EvaluationResult:
    from tasks.evaluate.measure import measure as measure_all

    due = 0.0

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == total:
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
            say(f"{config.training.method}: {what}: {done} of {total}")

    return measure_all(config, workspace, prepared, trained, None, on_progress).value


def _teller(method: str, say: Callable[[str], None]) -> Callable[[Record], None]:
    due = 0.0

    def on_event(event: Record) -> None:
        nonlocal due
        if isinstance(event, Step) and time.monotonic() >= due:
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
            say(f"{method}: step {event.step} of {event.steps}, loss {event.loss:.3f}, {event.tokens_per_second:.0f} tokens/s")
        elif isinstance(event, Validated):
            say(f"{method}: validation loss {event.point.validation_loss:.4f} at step {event.point.step}")
        elif isinstance(event, Note):
            say(f"{method}: {event.text}")

    return on_event


def weights_of(artifact: Path) -> tuple[int, int]:
    """Numbers in an artifact's weights, which are those that were trained, and their bytes on disk."""
    from safetensors import safe_open

    files = sorted(artifact.rglob("*.safetensors"))
    numbers = 0
    for file in files:
        opened: Any = safe_open(file, framework="numpy")
        with opened as tensors:
            numbers += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118  # no mapping
    return numbers, sum(file.stat().st_size for file in files)


def main() -> int:
    """The command line: measures one method and stores what was found; returns the exit code."""
    method, size = sys.argv[1], Size(sys.argv[2])
    workspace = read_machine().workspace

    def say(text: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stdout.flush()

    try:
        measured = measure(method, size, workspace, say)
        write_json(result_file(method, size, workspace / "benchmarks" / "methods"), measured)
    except (TunegateError, ValueError) as error:
        sys.stderr.write(f"{method}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
