"""The gates' null on real predictions: rows of a stored evaluation, in each of which the two models' answers change places at random."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates_cases import gate_of, judge_counts
from benchmarks.gates_counts import TOP_UPS, Cell
from benchmarks.gates_counts import simulate as simulate_counts
from benchmarks.gates_resampled import simulate
from tasks.evaluate.comparing import compare
from tasks.evaluate.metric_kinds import METRICS
from tasks.evaluate.stored_rows import Column, Scores, read_scores

PREDICTIONS = Path(__file__).parent / "predictions"
"""Of a run of the demo: 600 tickets, answered by the base, the tuned model and the champion before it."""
_RESAMPLED = ("macro_f1", "rougeL", "perplexity")


def stored_folders(given: Sequence[str]) -> list[Path]:
    """Folders of evaluations: those given, and the one that comes with the benchmark."""
    return [*sorted(path for path in PREDICTIONS.iterdir() if path.is_dir()), *map(Path, given)]


def figures_of_stored(folders: Sequence[Path]) -> Iterator[tuple[str, float]]:
    """Rates of superiority among models that are equal by construction: the worst, and those of each evaluation."""
    rates = {name: rate for folder in folders for name, rate in _rates(folder.name, read_scores(folder))}
    yield "stored_false_promotion_rate", max(rates.values())
    yield from rates.items()


def _rates(name: str, scores: Scores) -> Iterator[tuple[str, float]]:
    for other in ("champion", "base"):
        if other not in scores.answers:
            continue
        pair = _pair(scores, other)
        differing = int((pair.numbers["tuned.accuracy"].values != pair.numbers["champion.accuracy"].values).sum())
        yield f"stored_{name}_tuned_{other}_as_they_are", _as_they_are(pair.rows, differing)
        for rows in (400, 1_000):
            found = simulate_counts(Cell("superiority", rows, 0.0, differing / pair.rows), top_ups=TOP_UPS)
            yield f"stored_{name}_tuned_{other}_n{rows}", found.passed_in_the_end
        for metric in _RESAMPLED if other == "champion" else ():
            if not isinstance(compare(pair, METRICS[metric], "tuned", "champion"), str):
                rates = simulate(gate_of("superiority", metric), lambda draw, rows, pair=pair: _drawn(pair, draw, rows), 400)  # type: ignore[misc]
                yield f"stored_{name}_tuned_{other}_{metric}_n400", rates.passed_in_the_end


def _pair(scores: Scores, other: str) -> Scores:
    """Tuned and one other, which takes the champion's place; each row for itself, and all of them seen by nobody."""
    kept = {"tuned": "tuned", other: "champion"}
    named = [(name.split(".", 1), column) for name, column in scores.numbers.items()]
    numbers = {f"{kept[who]}.{metric}": column for (who, metric), column in named if who in kept}
    answers = {"expected": scores.answers["expected"], **{kept[who]: scores.answers[who] for who in kept}}
    return Scores(np.arange(scores.rows), numbers, answers, {})


def _as_they_are(rows: int, differing: int) -> float:
    """Chance that the stored rows themselves, their answers swapped, show one model superior: a sum over how many swaps favour it."""
    from scipy.stats import binom

    chances = binom.pmf(np.arange(differing + 1), differing, 0.5)
    passed = [judge_counts("superiority", rows, gained, differing - gained).outcome == "pass" for gained in range(differing + 1)]
    return float(chances[np.array(passed)].sum())


def _drawn(pair: Scores, draw: np.random.Generator, rows: int) -> Scores:
    """So many rows, drawn with replacement; in each, the answers stay or change places."""
    chosen, swapped = draw.integers(0, pair.rows, rows), draw.random(rows) < 0.5
    there = {name: texts[chosen] for name, texts in pair.answers.items()}
    one, two = there["tuned"], there["champion"]
    answers = {"expected": there["expected"], "tuned": np.where(swapped, two, one), "champion": np.where(swapped, one, two)}
    numbers: dict[str, Column] = {}
    for metric in {name.split(".", 1)[1] for name in pair.numbers}:
        first, second = (pair.numbers[f"{who}.{metric}"] for who in ("tuned", "champion"))
        numbers |= {f"tuned.{metric}": _mixed(first, second, chosen, swapped), f"champion.{metric}": _mixed(second, first, chosen, swapped)}
    return replace(pair, clusters=np.arange(rows), numbers=numbers, answers=answers)


def _mixed(own: Column, other: Column, chosen: NDArray[np.int64], swapped: NDArray[np.bool_]) -> Column:
    return Column(
        np.where(swapped, other.values[chosen], own.values[chosen]), np.where(swapped, other.measured[chosen], own.measured[chosen])
    )
