"""Which labels the tuned model takes for which: a heatmap that stays readable with many labels, and its largest cells in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

OTHER = "another answer"
"""Where an answer is none of the labels."""

NAMED = 20
"""Up to so many labels have their names beside the heatmap."""
_PAIRS = 12
_FAINTEST = 0.3
_LONGEST_NAME = 20


@dataclass(frozen=True)
class Cell:
    """A pair of labels that occurs; places and sizes in percent. `strength` is the share of the expected label's rows, made visible."""

    x: float
    y: float
    right: bool
    count: int
    strength: float
    expected: str
    answered: str


@dataclass(frozen=True)
class Axis:
    """A label beside its row of the heatmap, and its number above its column; `place` is the middle in percent."""

    name: str
    number: int
    place: float


@dataclass(frozen=True)
class Pair:
    """`count` of the `of` rows of one label got another answer."""

    expected: str
    answered: str
    count: int
    of: int


@dataclass(frozen=True)
class Confusion:
    """The whole picture. `axes` are empty where there are too many labels for names; `pairs` are the most frequent mistakes."""

    labels: int
    wrong: int
    rows: int
    width: float
    height: float
    cells: tuple[Cell, ...]
    axes: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    pairs: tuple[Pair, ...]
    more_pairs: int


def confusion_of(expected: Sequence[str], answered: Sequence[str]) -> Confusion | None:
    """Counts label by label; null if there are no rows. The labels are those that are expected; any other answer is put together."""
    wanted = [text.strip() for text in expected]
    if not wanted:
        return None
    labels = sorted(set(wanted))
    known = set(labels)
    said = [text if text in known else OTHER for text in (text.strip() for text in answered)]
    columns = [*labels, OTHER] if OTHER in said and OTHER not in known else labels
    counts, sizes = Counter(zip(wanted, said, strict=True)), Counter(wanted)
    width, height = 100 / len(columns), 100 / len(labels)
    row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (labels, columns))
    mistakes = [Pair(one, other, count, sizes[one]) for (one, other), count in counts.items() if one != other]
    mistakes.sort(key=lambda pair: (-pair.count, -pair.count / pair.of, pair.expected, pair.answered))
    named = len(labels) <= NAMED
    return Confusion(
        labels=len(labels),
        wrong=sum(pair.count for pair in mistakes),
        rows=len(wanted),
        width=width,
        height=height,
        cells=tuple(
            Cell(
                x=column_of[answer] * width, y=row_of[label] * height, right=label == answer, count=count,
                strength=_FAINTEST + (1 - _FAINTEST) * count / sizes[label], expected=label, answered=answer,
            )
            for (label, answer), count in sorted(counts.items())
        ),
        axes=tuple(Axis(_cut(name), place + 1, (place + 0.5) * height) for place, name in enumerate(labels)) if named else (),
        columns=tuple(Axis(_cut(name), place + 1, (place + 0.5) * width) for place, name in enumerate(columns)) if named else (),
        pairs=tuple(mistakes[:_PAIRS]),
        more_pairs=max(0, len(mistakes) - _PAIRS),
    )  # fmt: skip


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
