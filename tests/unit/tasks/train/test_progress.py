"""What is shown of a training while it runs."""

from tasks.artifacts import CurvePoint, Record
from tasks.train.events import Note, Step, Validated
from tasks.train.progress import PlainLines, figures_of


def step(number: int, **changes: object) -> Step:
    values: dict[str, object] = {
        "step": number, "steps": 100, "epoch": 0.5, "loss": 1.25, "learning_rate": 2e-4, "grad_norm": 0.75,
        "tokens_per_second": 640.4, "seconds_left": 125.0, "memory_bytes": 1_900_000_000,
    }  # fmt: skip
    return Step.model_validate(values | changes)


def test_a_step_shows_loss_speed_rate_gradient_memory_and_time() -> None:
    assert figures_of(step(1)) == "loss 1.250, 640 tokens/s, rate 2.0e-04, gradient 0.75, 1.90 GB, 2:05 left"
    assert "gradient" not in figures_of(step(1, grad_norm=None))


def test_plain_lines_come_now_and_then_and_always_at_the_end() -> None:
    said: list[str] = []
    now = [0.0]
    lines = PlainLines(said.append, lambda: now[0])
    shown: list[Record] = [step(1), step(2), step(3), step(100)]
    for event in shown:
        lines.show(event)
        now[0] += 4
    assert [line.split(":")[0] for line in said] == ["training step 1/100", "training step 100/100"]


def test_validation_and_notes_are_said_at_once() -> None:
    said: list[str] = []
    lines = PlainLines(said.append, lambda: 0.0)
    lines.show(Validated(point=CurvePoint(step=7, epoch=0.5, train_loss=1.0, validation_loss=0.5)))
    lines.show(Note(text="training falls back to padded batches"))
    assert said == ["validation at step 7: loss 0.500 nats a token", "training falls back to padded batches"]
