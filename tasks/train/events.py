"""What the training child says to its parent: JSON lines on its standard output, one event each."""

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pipeline_config.data import SensitiveKind
from pipeline_config.model import ModelConfig
from pipeline_config.training import SettledTraining
from tasks.artifacts import CurvePoint, LayoutName, Record


class TrainingRequest(Record):
    """Everything that the child needs. Written to a file that it is started with."""

    workspace: Path
    folder: Path
    data_folder: Path
    data_digest: str
    instruction: str | None
    labels: tuple[str, ...] | None
    max_new_tokens: int
    code_revision: str | None
    masked_kinds: tuple[SensitiveKind, ...] = ()
    model: ModelConfig
    training: SettledTraining


class Started(Record):
    """The first optimizer step is about to begin."""

    event: Literal["started"] = "started"
    steps: int
    first_step: int
    layout: LayoutName
    trainable_parameters: int
    all_parameters: int


class Step(Record):
    """One optimizer step. Loss in nats per supervised token; tokens per second over the steps of this process, validation left out."""

    event: Literal["step"] = "step"
    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float | None
    tokens_per_second: float
    seconds_left: float
    memory_bytes: int


class Validated(Record):
    """One validation pass."""

    event: Literal["validated"] = "validated"
    point: CurvePoint


class Note(Record):
    """Something that a person should know."""

    event: Literal["note"] = "note"
    text: str


class Failed(Record):
    """A deliberate error: what, where, expected, hint."""

    event: Literal["failed"] = "failed"
    kind: str
    what: str
    where: str
    expected: str
    hint: str


class Interrupted(Record):
    """Stopped on request; a checkpoint was written."""

    event: Literal["interrupted"] = "interrupted"
    step: int


class Finished(Record):
    """The artifact is complete."""

    event: Literal["finished"] = "finished"
    artifact_digest: str
    base_digest: str
    steps: int
    shipped_step: int
    curve: tuple[CurvePoint, ...]
    stopped_early: bool
    layout: LayoutName
    supervised_tokens: int
    total_tokens: int
    tokens_per_second: float | None
    peak_memory_bytes: int


Event = Annotated[Started | Step | Validated | Note | Failed | Interrupted | Finished, Field(discriminator="event")]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def emit(event: Record) -> None:
    """Says one event to the parent. NaN and infinity are refused by the record itself, so they never reach a chart unseen."""
    stream = sys.__stdout__
    if stream is None:
        return
    # A dead parent reads nothing; the checkpoint that its death calls for must still be written.
    with contextlib.suppress(BrokenPipeError):
        stream.write(event.model_dump_json() + "\n")
        stream.flush()


def parse(line: str) -> Event | None:
    """Reads one line. Null for anything that is not an event: libraries print to standard output too."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return _ADAPTER.validate_python(content) if isinstance(content, Mapping) and "event" in content else None
