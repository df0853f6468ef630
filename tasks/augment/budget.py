"""How many reworded rows each label gets from each operator, and which rows they are made from."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline_config.augmentation import AugmentationConfig, OperatorName

ROUNDS = 3
"""How often what was rejected is asked for anew, of other rows or once more of the same, the first time included."""
_ATTEMPTS = 2
"""Slots of a row for each child that it may have."""


@dataclass(frozen=True)
class Slot:
    """A child that is asked for.

    Attributes:
        place: of its parent among the training rows.
        number: among the children of this parent by this operator, from 1; those that were rejected count.
    """

    place: int
    number: int


def quotas(config: AugmentationConfig, counts: Mapping[str, int]) -> dict[OperatorName, dict[str, int]]:
    """How many children are wanted by operator and label.

    In all they are the operators' ratios times the rows, and no more than `max_per_row` a row. Each label gets its share of them; with
    `balance` the rarest label gets one after another until it is no longer the rarest, up to the count of the most frequent one.

    Args:
        counts: training rows by label.
    """
    ratios = {name: operator.ratio for name, operator in config.operators().items()}
    rows, ratio = sum(counts.values()), min(sum(ratios.values()), config.max_per_row)
    total = round(ratio * rows)
    levelled = config.balance and len(counts) > 1  # free text has no labels to balance
    wanted = _levelled(counts, total, config.max_per_row) if levelled else _in_proportion(counts, total)
    return _divided(wanted, ratios)


def _levelled(counts: Mapping[str, int], total: int, most: int) -> dict[str, int]:
    wanted = dict.fromkeys(counts, 0)
    ceiling = max(counts.values(), default=0)
    rising = [(count, label) for label, count in counts.items()]
    heapq.heapify(rising)
    while total and rising and rising[0][0] < ceiling:
        count, label = heapq.heappop(rising)
        if wanted[label] < most * counts[label]:
            wanted[label] += 1
            total -= 1
            heapq.heappush(rising, (count + 1, label))
    return wanted


def _in_proportion(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """By largest remainders."""
    rows = max(sum(counts.values()), 1)
    wanted = {label: total * count // rows for label, count in counts.items()}
    short = sorted(counts, key=lambda label: (-(total * counts[label] % rows), label))
    for label in short[: total - sum(wanted.values())]:
        wanted[label] += 1
    return wanted


def _divided(wanted: Mapping[str, int], ratios: Mapping[OperatorName, float]) -> dict[OperatorName, dict[str, int]]:
    """Each child goes to the operator that is furthest behind its ratio, so that all labels meet all operators."""
    given = dict.fromkeys(ratios, 0)
    divided: dict[OperatorName, dict[str, int]] = {name: dict.fromkeys(wanted, 0) for name in ratios}
    for label in sorted(wanted):
        for _ in range(wanted[label]):
            name = min(ratios, key=lambda name: given[name] / ratios[name])
            given[name] += 1
            divided[name][label] += 1
    return divided


class Budget:
    """Hands out slots, round by round, and is told what came of each.

    Rows take turns in the order of a keyed hash, another one for each operator, so that other rows change as little as possible. What is
    handed out depends on the rows, the configuration and what was accepted, and on nothing else.
    """

    def __init__(self, config: AugmentationConfig, row_ids: Sequence[str], labels: Sequence[str], seed: int) -> None:
        """Prepares the first round.

        Args:
            labels: of each row; all the same where answers are free text.
        """
        self._most, self._labels = config.max_per_row, labels
        self._lacking = quotas(config, Counter(labels))
        self._children = [0] * len(row_ids)
        self._queues = {name: _queues(name, row_ids, labels, seed, config.max_per_row) for name in self._lacking}
        self._barren: set[OperatorName] = set()

    @property
    def lacking(self) -> dict[OperatorName, int]:
        """Children that are still wanted, by operator."""
        return {name: sum(labels.values()) for name, labels in self._lacking.items()}

    def slots(self, name: OperatorName) -> list[Slot]:
        """What to ask an operator next: what it still lacks, in the order of the rows. Nothing if all it gave last time was rejected."""
        if name in self._barren:
            return []
        self._barren.add(name)
        planned = Counter[int]()
        chosen = [slot for label, lacking in sorted(self._lacking[name].items()) for slot in self._take(name, label, lacking, planned)]
        return sorted(chosen, key=lambda slot: (slot.place, slot.number))

    def settle(self, name: OperatorName, slot: Slot, *, accepted: bool) -> None:
        """What came of a slot."""
        if accepted:
            self._children[slot.place] += 1
            self._lacking[name][self._labels[slot.place]] -= 1
            self._barren.discard(name)

    def _take(self, name: OperatorName, label: str, count: int, planned: Counter[int]) -> Iterator[Slot]:
        """The next slots of a label whose rows have room."""
        while count and (slot := next(self._queues[name][label], None)) is not None:
            if self._children[slot.place] + planned[slot.place] < self._most:
                planned[slot.place] += 1
                count -= 1
                yield slot


def _queues(name: str, row_ids: Sequence[str], labels: Sequence[str], seed: int, most: int) -> dict[str, Iterator[Slot]]:
    order = sorted(range(len(row_ids)), key=lambda place: (_hash(f"{seed} {name} {row_ids[place]}"), place))
    places: dict[str, list[int]] = {}
    for place in order:
        places.setdefault(labels[place], []).append(place)
    return {label: _turns(rows, most) for label, rows in places.items()}


def _turns(places: Sequence[int], most: int) -> Iterator[Slot]:
    return (Slot(place, number) for number in range(1, _ATTEMPTS * most + 1) for place in places)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
