"""Geometry of the loss curves: steps to the right, losses upwards, on a logarithmic scale where they span more than a linear one shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.artifacts import CurvePoint
from tasks.report.figures import value_text

_LOGARITHMIC_FROM = 8.0
"""The largest loss over the smallest, from which the scale is logarithmic."""
_SMALLEST = 1e-6
_HEADROOM = 1.06


@dataclass(frozen=True)
class Dot:
    """A measured point; `x` from the left and `y` from the top, in percent of the plot."""

    x: float
    y: float
    step: int
    loss: str


@dataclass(frozen=True)
class Level:
    """A line across the plot, `y` percent from the top, with the loss that it stands for."""

    y: float
    text: str


@dataclass(frozen=True)
class Curves:
    """Both curves. `shipped` is the validation point of the checkpoint that ships, null if there is none at its step."""

    train: tuple[Dot, ...]
    validation: tuple[Dot, ...]
    levels: tuple[Level, ...]
    first_step: int
    last_step: int
    shipped: Dot | None
    best: Dot
    logarithmic: bool

    @property
    def train_line(self) -> str:
        """SVG's `points`."""
        return _line(self.train)

    @property
    def validation_line(self) -> str:
        """SVG's `points`."""
        return _line(self.validation)


def draw_curves(curve: Sequence[CurvePoint], shipped_step: int) -> Curves | None:
    """Both curves of a training; null if there is no point."""
    points = [point for point in curve if math.isfinite(point.validation_loss)]
    if not points:
        return None
    train = [(point.step, point.train_loss) for point in points if point.train_loss is not None and math.isfinite(point.train_loss)]
    losses = [max(loss, _SMALLEST) for loss in (*(loss for _, loss in train), *(point.validation_loss for point in points))]
    logarithmic = max(losses) / min(losses) >= _LOGARITHMIC_FROM
    top, bottom = max(losses) * _HEADROOM, min(losses) / _HEADROOM if logarithmic else 0.0
    first, last = min(point.step for point in points), max(point.step for point in points)

    def height(loss: float) -> float:
        if logarithmic:
            return 100 * (math.log(top) - math.log(max(loss, _SMALLEST))) / (math.log(top) - math.log(bottom))
        return 100 * (top - loss) / (top - bottom)

    def dot(step: int, loss: float) -> Dot:
        return Dot(100 * (step - first) / (last - first) if last > first else 50.0, height(loss), step, value_text(loss))

    best = min(points, key=lambda point: point.validation_loss)
    return Curves(
        train=tuple(dot(step, loss) for step, loss in train),
        validation=tuple(dot(point.step, point.validation_loss) for point in points),
        levels=tuple(Level(height(loss), f"{loss:g}") for loss in _levels(bottom, top, logarithmic=logarithmic)),
        first_step=first,
        last_step=last,
        shipped=next((dot(point.step, point.validation_loss) for point in points if point.step == shipped_step), None),
        best=dot(best.step, best.validation_loss),
        logarithmic=logarithmic,
    )


def _levels(bottom: float, top: float, *, logarithmic: bool) -> list[float]:
    """Round losses between the ends: powers of ten, or 1, 2 and 5 times those where they are few; or a few equal steps."""
    if logarithmic:
        powers = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
        rounds = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if bottom <= digit * 10.0**power <= top]
        tens = [loss for loss in rounds if math.isclose(math.log10(loss), round(math.log10(loss)), abs_tol=1e-9)]
        return tens if len(tens) > 1 else rounds
    step = 10.0 ** math.floor(math.log10(top / 5))
    step *= next(times for times in (1, 2, 5, 10) if top / (step * times) < 5.5)
    return [step * place for place in range(int(top / step) + 1)]


def _line(dots: Sequence[Dot]) -> str:
    return " ".join(f"{dot.x:.3f},{dot.y:.3f}" for dot in dots)
