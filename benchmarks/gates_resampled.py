"""Simulated comparisons by figures that are resampled: means, perplexity, macro-F1; and in accuracy where rows hang together.

The two models are drawn alike, so each comparison also is one of the second model with the first: the gate's decision on it is read off
the mirrored interval, and a rate is the mean over both directions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates_cases import gate_of, judge_scores
from benchmarks.gates_counts import COMPARISONS, SEED
from pipeline_config.gates import GateConfig
from tasks.evaluate.stored_rows import Column, Scores

_ROWS_OF_A_CLUSTER = 4
_LABELS = 12
_LOST_BY_SHIFT = 0.03
_MANY = 1_000_000

Draw = Callable[[np.random.Generator, int], Scores]
"""Makes so many rows of two models that are alike."""


@dataclass(frozen=True)
class Rates:
    """As `benchmarks.gates_counts.Rates`, over both directions."""

    passed: float
    passed_in_the_end: float
    covered: float


def rouge_like(draw: np.random.Generator, rows: int, lost: float = 0.0) -> Scores:
    """Numbers from 0 to 1 with heaps at both ends, about as ROUGE of short replies; `lost` is taken off the first model's."""
    difficulty = draw.normal(0.6, 0.35, rows)
    one, two = (np.clip(difficulty + draw.normal(0.0, 0.25, rows), 0, 1).round(3) for _ in range(2))
    return _scores(rows, {"tuned.rouge1": np.maximum(one - lost, 0.0), "champion.rouge1": two})


def perplexity_like(draw: np.random.Generator, rows: int) -> Scores:
    """Nats of answers of about eight tokens; hard rows are hard for both."""
    tokens = 1.0 + draw.poisson(7.0, rows)
    difficulty = draw.normal(-1.5, 1.0, rows)
    nats = [tokens * np.exp(difficulty + draw.normal(0.0, 0.5, rows)) for _ in range(2)]
    return _scores(
        rows,
        {"tuned.loss": nats[0], "champion.loss": nats[1], "tuned.loss_tokens": tokens, "champion.loss_tokens": tokens},
    )


def labelled(draw: np.random.Generator, rows: int) -> Scores:
    """Answers that are one of twelve labels of unequal frequency; 80 % both right, 10 % one of both, 10 % both wrong in some way."""
    shares = 1 / np.arange(2, _LABELS + 2)
    expected = draw.choice(_LABELS, rows, p=shares / shares.sum())
    fate, first = draw.random(rows), draw.random(rows) < 0.5
    wrong = [(expected + 1 + draw.integers(0, _LABELS - 1, rows)) % _LABELS for _ in range(2)]
    both, one = fate < 0.8, (fate >= 0.8) & (fate < 0.9)
    tuned = np.where(both | (one & first), expected, wrong[0])
    champion = np.where(both | (one & ~first), expected, wrong[1])
    texts = {name: _as_texts(of) for name, of in (("expected", expected), ("tuned", tuned), ("champion", champion))}
    return Scores(np.arange(rows), {}, texts, {})


def grouped(draw: np.random.Generator, rows: int) -> Scores:
    """Rows of which four each hang together: in a group it is mostly the same model that is right where they differ."""
    groups = rows // _ROWS_OF_A_CLUSTER
    leaning = np.repeat(draw.beta(0.5, 0.5, groups), _ROWS_OF_A_CLUSTER)
    restless = np.repeat(draw.beta(0.5, 3.0, groups), _ROWS_OF_A_CLUSTER)
    differs, first = draw.random(rows) < restless, draw.random(rows) < leaning
    both = draw.random(rows) < 0.8
    tuned, champion = (np.where(differs, which, both).astype(np.float64) for which in (first, ~first))
    return _scores(
        rows, {"tuned.accuracy": tuned, "champion.accuracy": champion}, np.repeat(np.arange(groups), _ROWS_OF_A_CLUSTER).astype(np.int64)
    )


def simulate(gate: GateConfig, draw_rows: Draw, rows: int, *, truth: float = 0.0, mirrored: bool = True) -> Rates:
    """Judges comparisons, and held ones once more on twice the rows.

    Args:
        truth: the true difference.
        mirrored: whether both models are alike, so that each comparison counts in both directions.
    """
    draw = np.random.default_rng([SEED, rows])
    passed, in_the_end, covered, counted = 0, 0, 0, 0
    for _ in range(COMPARISONS):
        both = draw_rows(draw, 2 * rows)
        first = both.some(np.arange(2 * rows) < rows)
        judged = judge_scores(gate, first)
        covered += judged.interval[0] <= truth <= judged.interval[1]
        second = None
        for sign in (1, -1) if mirrored else (1,):
            counted += 1
            outcome = judged.outcome if sign == 1 else _mirrored(judged.interval)
            passed += outcome == "pass"
            if outcome == "hold":
                second = second or judge_scores(gate, both, second=True)
                outcome = second.outcome if sign == 1 else _mirrored(second.interval)
            in_the_end += outcome == "pass"
    return Rates(passed / counted, in_the_end / counted, covered / COMPARISONS)


def _mirrored(interval: tuple[float, float]) -> str:
    """What superiority of the other model is."""
    return "pass" if interval[1] < 0 else "fail" if interval[0] >= 0 else "hold"


def figures_of_resampled() -> Iterator[tuple[str, float]]:
    """Every figure of resampled comparisons."""
    found: dict[str, Rates] = {}
    alike: dict[str, tuple[str, Draw]] = {
        "rouge1": ("rouge1", rouge_like), "perplexity": ("perplexity", perplexity_like), "macro_f1": ("macro_f1", labelled),
        "accuracy_in_groups": ("accuracy", grouped),
    }  # fmt: skip
    for rows in (400, 1_000):
        for name, (metric, draw_rows) in alike.items():
            found[f"{name}_superiority_n{rows}"] = simulate(gate_of("superiority", metric), draw_rows, rows)
    margin = -_true_loss()
    gate = gate_of("non_inferiority", "rouge1", -margin)
    found["rouge1_non_inferiority_n400"] = simulate(
        gate, lambda draw, rows: rouge_like(draw, rows, _LOST_BY_SHIFT), 400, truth=margin, mirrored=False
    )
    yield "resampled_false_promotion_rate", max(rates.passed_in_the_end for rates in found.values())
    yield "resampled_false_promotion_rate_first_look", max(rates.passed for rates in found.values())
    yield "resampled_coverage_min", min(rates.covered for rates in found.values())
    yield "resampled_coverage_max", max(rates.covered for rates in found.values())
    for name, rates in found.items():
        yield f"false_promotion_{name}", rates.passed_in_the_end
        yield f"coverage_{name}", rates.covered


def _true_loss() -> float:
    """By how much the shifted model is worse in truth: less than the shift, as scores end at 0."""
    scores = rouge_like(np.random.default_rng(SEED), _MANY, _LOST_BY_SHIFT)
    tuned, champion = (scores.numbers[f"{name}.rouge1"].values.mean() for name in ("tuned", "champion"))
    return float(champion - tuned)


def _scores(rows: int, numbers: Mapping[str, NDArray[Any]], clusters: NDArray[np.int64] | None = None) -> Scores:
    everywhere = np.ones(rows, dtype=np.bool_)
    columns = {name: Column(values.astype(np.float64), everywhere) for name, values in numbers.items()}
    return Scores(np.arange(rows) if clusters is None else clusters, columns, {}, {})


def _as_texts(labels: NDArray[Any]) -> NDArray[np.object_]:
    return np.array([f"label {label}" for label in labels], dtype=np.object_)
