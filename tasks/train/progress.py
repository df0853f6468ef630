"""Shows training to whoever watches: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from tasks.artifacts import Record
from tasks.train.events import Note, Started, Step, Validated

_SECONDS_BETWEEN_LINES = 10.0


class Display(Protocol):
    """Takes every event of the child."""

    def show(self, event: Record) -> None:
        """Shows one event."""
        ...

    def close(self) -> None:
        """Leaves the terminal as it was."""
        ...


class LiveBar:
    """One line that moves: what :func:`figures_of` says of the newest step."""

    def __init__(self, console: Console) -> None:
        steps, figures = TextColumn("{task.completed:.0f}/{task.total:.0f}"), TextColumn("{task.fields[figures]}")
        self._progress = Progress(
            TextColumn("training"), BarColumn(), steps, figures, console=console, redirect_stdout=True, redirect_stderr=True
        )
        self._task: TaskID | None = None

    def show(self, event: Record) -> None:
        """See :class:`Display`."""
        if isinstance(event, Started):
            self._task = self._progress.add_task("training", total=event.steps, completed=event.first_step, figures="")
            self._progress.start()
        elif isinstance(event, Step) and self._task is not None:
            self._progress.update(self._task, completed=event.step, total=event.steps, figures=figures_of(event))
        elif (line := _line(event)) is not None:
            self._progress.console.print(line, highlight=False)

    def close(self) -> None:
        """See :class:`Display`."""
        self._progress.stop()


class PlainLines:
    """A line now and then, for logs."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock, self._next = say, clock, 0.0

    def show(self, event: Record) -> None:
        """See :class:`Display`."""
        if isinstance(event, Step):
            if self._clock() >= self._next or event.step == event.steps:
                self._next = self._clock() + _SECONDS_BETWEEN_LINES
                self._say(f"training step {event.step}/{event.steps}: {figures_of(event)}")
        elif (line := _line(event)) is not None:
            self._say(line)

    def close(self) -> None:
        """See :class:`Display`."""


def figures_of(step: Step) -> str:
    """Loss, speed, learning rate, gradient norm, memory and time left, in one line."""
    minutes, seconds = divmod(round(step.seconds_left), 60)
    gradient = "" if step.grad_norm is None else f", gradient {step.grad_norm:.2g}"
    return (
        f"loss {step.loss:.3f}, {step.tokens_per_second:.0f} tokens/s, rate {step.learning_rate:.1e}{gradient}, "
        f"{step.memory_bytes / 1e9:.2f} GB, {minutes}:{seconds:02d} left"
    )


def validation_of(event: Validated) -> str:
    """The newest point of the validation curve, in one line."""
    return f"validation at step {event.point.step}: loss {event.point.validation_loss:.3f} nats a token"


def _line(event: Record) -> str | None:
    if isinstance(event, Started):
        share = event.trainable_parameters / event.all_parameters
        return f"training {event.trainable_parameters:,} of {event.all_parameters:,} parameters ({share:.1%}), rows {event.layout}"
    if isinstance(event, Validated):
        return validation_of(event)
    if isinstance(event, Note):
        return event.text
    return None
