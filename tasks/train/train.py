"""Starts the training child, listens to it, and makes a record of what it left."""

import sys
from collections.abc import Callable
from pathlib import Path

from pipeline_config import errors
from pipeline_config.errors import TrainingError, TunegateError
from tasks.artifacts import Record, TrainedModel
from tasks.files import write_atomically
from tasks.train.child import INTERRUPTED
from tasks.train.events import Event, Failed, Finished, Note, TrainingRequest, parse
from tasks.train.process import run_child

_LOG_LINES = 15


def train(request: TrainingRequest, environment: dict[str, str], on_event: Callable[[Record], None]) -> TrainedModel:
    """Trains in a child process; a checkpoint that an earlier, interrupted call left in the folder is gone on from.

    Raises:
        TrainingError: the child crashed, was killed, or found the loss not finite.
        TunegateError: whatever the child raised on purpose.
    """
    request_file, log = request.folder / "request.json", request.folder / "training.log"
    write_atomically(request_file, request.model_dump_json(indent=2).encode())
    last: list[Event] = []
    notes: list[str] = []

    def listen(line: str) -> None:
        event = parse(line)
        if event is not None:
            last[:] = [event]
            if isinstance(event, Note):
                notes.append(event.text)
            on_event(event)

    try:
        code = run_child([sys.executable, "-m", "tasks.train.child", str(request_file)], environment, log, listen)
        return _result(request, code, last[0] if last else None, notes, log)
    finally:
        # The request names folders of this machine, and the log may: neither belongs to a stage's result.
        request_file.unlink(missing_ok=True)


def _result(request: TrainingRequest, code: int, last: Event | None, notes: list[str], log: Path) -> TrainedModel:
    if isinstance(last, Failed):
        kind = getattr(errors, last.kind, TrainingError)
        raise (kind if issubclass(kind, TunegateError) else TrainingError)(
            last.what, where=last.where, expected=last.expected, hint=last.hint
        )
    if code == 0 and isinstance(last, Finished):
        return TrainedModel(folder=request.folder, method=request.training.method, notes=tuple(notes), **last.model_dump(exclude={"event"}))
    if code == INTERRUPTED:
        raise TrainingError("training was stopped; a checkpoint was written", where="training process", hint="run again to go on from it")
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:]) if log.is_file() else ""
    hint = "out of memory? lower training.per_device_train_batch_size; run again to go on from the last checkpoint"
    raise TrainingError(f"the training process {how}; its last lines were:\n{tail}", where=log.name, hint=hint)
