"""The parts of the augmentation benchmark that train nothing: speed, what is accepted, and whether anything leaks."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

import polars as pl

from benchmarks.augment_leaks import Leaks, find_leaks
from benchmarks.augment_one import RATIO as LOW_DATA_RATIO
from benchmarks.augment_rows import OPERATORS, RememberingEmbedder, banking, children_of, held_out_of, only, open_one, reword
from benchmarks.methods_one import prepare
from pipeline_config.augmentation import OperatorName
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import OperatorCounts, PreparedData
from tasks.augment.operators import Candidate, Missing, Operator, Request
from tasks.files import sha256_json
from tasks.nearness.near import JACCARD

REPETITIONS = 3
SHORT_WORDS = 15
"""Of a short row, at most."""
RATIO = 0.5
SWIFT: tuple[OperatorName, ...] = ("synonym", "back_translation")
"""Operators that are asked anew for every seed; a language model would take hours for it."""

Say = Callable[[str], None]


class Found(TypedDict):
    """What a part came to."""

    figures: dict[str, float]
    notes: list[str]


def speed(rows: int, workspace: Path, say: Say) -> Found:
    """Rows a second of synonym and of Apertium's round trip, medians; what is loaded once is not counted.

    Args:
        rows: in each repetition, other ones every time where there are enough.
    """
    config = banking(rows)
    texts = list(dict.fromkeys(pl.read_csv(config.data.source.path)["text"]))
    short = [text for text in texts if len(text.split()) <= SHORT_WORDS]
    found: Found = {"figures": {}, "notes": []}
    for name, figure, asked in (("synonym", "synonym", texts), ("back_translation", "apertium", short)):
        operator = open_one(name, config, workspace)  # type: ignore[arg-type]  # a literal
        if isinstance(operator, Missing):
            found["notes"].append(_missing(operator))
            continue
        measured = [_time(operator, part) for part in _slices(asked, rows)]
        found["figures"][f"{figure}_rows_per_s"] = median(one for one, _ in measured)
        found["figures"][f"{figure}_answered"] = sum(share for _, share in measured) / len(measured)
        say(f"{name}: {', '.join(f'{one:.0f}' for one, _ in measured)} rows/s")
    return found


def acceptance(rows: int, few_rows: int, workspace: Path, say: Say) -> Found:
    """What share of each operator's candidates is accepted on Banking77, how similar to their parents these are, and why others are not.

    Args:
        few_rows: of a language model, with the low-data arm's ratio: what that arm was told with this seed is not asked for again.
    """
    found: Found = {"figures": {}, "notes": []}
    leaked, embedder = [], RememberingEmbedder()
    for name in OPERATORS:
        config, ratio = (banking(rows), RATIO) if name in SWIFT else (banking(few_rows), LOW_DATA_RATIO)
        operator = open_one(name, config, workspace)
        if isinstance(operator, Missing):
            found["notes"].append(_missing(operator))
            continue
        prepared = prepare(config, workspace)
        augmented = reword(config, prepared, operator, only(name, ratio), workspace, embedder, seed=17)
        leaked.append(_leaks(augmented, prepared, config))
        [counts] = augmented.augmentation.operators if augmented.augmentation is not None else ()
        found["figures"] |= _figures_of(counts)
        found["notes"].append(_refusals(counts))
        say(found["notes"][-1])
    found["figures"] |= {"leaked_at_seed_17": float(sum(one.exact + one.near for one in leaked))}
    return found


def leaks(rows: int, seeds: int, workspace: Path, say: Say) -> Found:
    """Children that say, or nearly say, what a validation or test row says, over many seeds; all of them were accepted as being none."""
    config = banking(rows)
    prepared, embedder = prepare(config, workspace), RememberingEmbedder()
    operators = [one for name in SWIFT if not isinstance(one := open_one(name, config, workspace), Missing)]
    every: list[Leaks] = []
    children = 0
    for seed in range(seeds):
        for operator in operators:
            settings = only(operator.name, RATIO)  # type: ignore[arg-type]  # one of SWIFT
            augmented = reword(config, prepared, operator, settings, workspace, embedder, seed)
            every.append(_leaks(augmented, prepared, config))
            children += augmented.augmentation.rows if augmented.augmentation is not None else 0
        say(f"seed {seed}: {children} children so far, leaked {sum(one.exact + one.near for one in every)}")
    if not every:
        return {"figures": {}, "notes": ["leaks: no operator is there"]}
    figures = {
        "leaked_children": sum(one.exact + one.near for one in every), "leak_seeds": seeds, "leak_children_checked": children,
        "nearest_jaccard": max(one.nearest for one in every),
    }  # fmt: skip
    note = f"leaked_children: {' and '.join(operator.name for operator in operators)}, each with {seeds} seeds."
    return {"figures": {name: float(value) for name, value in figures.items()}, "notes": [note]}


def _leaks(augmented: PreparedData, prepared: PreparedData, config: PipelineConfig) -> Leaks:
    jaccard = config.data.split.near_jaccard
    return find_leaks(children_of(augmented), held_out_of(prepared), JACCARD if jaccard is None else jaccard)


def _time(operator: Operator, texts: Sequence[str]) -> tuple[float, float]:
    """Rows a second, and the share of them that came back in other words."""
    requests = [Request(sha256_json([text, number]), text, number) for number, text in enumerate(texts)]
    list(operator.reword(_warm_up()))
    began = time.perf_counter()
    candidates: list[Candidate] = list(operator.reword(requests))
    seconds = time.perf_counter() - began
    return len(requests) / seconds, sum(candidate.text is not None for candidate in candidates) / len(candidates)


def _warm_up() -> list[Request]:
    text = "Where can I find the number of my new card?"
    return [Request(sha256_json(["warm-up", text]), text, 1)]


def _slices(texts: Sequence[str], rows: int) -> Iterator[list[str]]:
    """As many slices as repetitions, from the beginning again where there are too few texts."""
    for number in range(REPETITIONS):
        yield [texts[at % len(texts)] for at in range(number * rows, (number + 1) * rows)]


def _figures_of(counts: OperatorCounts) -> dict[str, float]:
    figures: dict[str, Any] = {
        "asked": counts.asked, "accepted": counts.accepted, "acceptance": counts.accepted / counts.asked if counts.asked else None,
        "similarity": counts.similarity, "seconds": counts.seconds,
    }  # fmt: skip
    return {f"{counts.name}_{name}": float(value) for name, value in figures.items() if value is not None}


def _refusals(counts: OperatorCounts) -> str:
    refused = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.items()) or "nothing"
    return f"{counts.name}: {counts.accepted} of {counts.asked} accepted; refused: {refused}."


def _missing(operator: Missing) -> str:
    return f"{operator.name} was not measured: {operator.needs} is not here; `{operator.command}` brings it."
