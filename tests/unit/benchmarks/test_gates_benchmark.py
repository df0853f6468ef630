"""The parts of the benchmark of the gates: what is drawn is what is meant, and it is the pipeline that judges."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gates_counts
from benchmarks.gates_cases import gate_of, judge_counts, judge_scores
from benchmarks.gates_counts import COMPARISONS, Cell, null_cells, simulate
from benchmarks.gates_resampled import Draw, grouped, labelled, perplexity_like, rouge_like
from benchmarks.gates_stored import _as_they_are, _drawn, _pair, stored_folders
from tasks.evaluate.stored_rows import read_scores
from tasks.statistics import Pairs, paired_interval


def test_counts_are_judged_by_the_interval_of_their_pairs() -> None:
    judged = judge_counts("superiority", 1000, 65, 35)
    assert judged.interval == paired_interval(Pairs(1000, 65, 35))
    assert judged.outcome == "pass"
    assert judge_counts("non_inferiority", 1000, 35, 65).outcome == "fail"
    first, second = (judge_counts("superiority", 400, 32, 17, second=second) for second in (False, True))
    assert (first.outcome, second.outcome) == ("pass", "hold")


def test_drawn_counts_have_the_rates_of_their_cell() -> None:
    cell = Cell("superiority", 400, 0.03, 0.1)
    drawn = np.array(gates_counts._draw(cell, 400, gates_counts._points()[:, :2]))
    assert drawn.shape == (COMPARISONS, 2)
    assert drawn.mean(axis=0) == pytest.approx([400 * 0.065, 400 * 0.035], rel=0.005)
    assert drawn.std(axis=0) == pytest.approx([np.sqrt(400 * 0.065 * 0.935), np.sqrt(400 * 0.035 * 0.965)], rel=0.03)


def test_no_model_may_pass_in_a_null_cell_and_every_margin_is_at_its_edge() -> None:
    for cell in null_cells(400):
        threshold = gate_of(cell.kind).threshold
        assert cell.difference == (-threshold if cell.kind == "non_inferiority" else threshold)


def test_a_rate_of_false_promotion_is_about_the_level() -> None:
    rates = simulate(Cell("superiority", 100, 0.0, 0.1), top_ups=(2,), independent=300)
    assert 0.005 < rates.passed < 0.06
    assert rates.passed_in_the_end >= rates.passed
    assert 0.9 < rates.covered < 0.99


@pytest.mark.parametrize(
    ("draw", "metric"), [(rouge_like, "rouge1"), (perplexity_like, "perplexity"), (labelled, "macro_f1"), (grouped, "accuracy")]
)
def test_two_models_that_are_alike_are_compared_by_the_pipeline(draw: Draw, metric: str) -> None:
    scores = draw(np.random.default_rng(1), 400)
    judged = judge_scores(gate_of("superiority", metric), scores)
    assert judged.interval[0] < judged.interval[1]
    assert judged.outcome in ("hold", "pass", "fail")


def test_a_row_keeps_its_two_answers_when_they_change_places() -> None:
    [folder] = stored_folders([])
    pair = _pair(read_scores(folder), "champion")
    drawn = _drawn(pair, np.random.default_rng(1), 500)
    known = {(e, *sorted((t, c))) for e, t, c in zip(*(pair.answers[who] for who in ("expected", "tuned", "champion")), strict=True)}
    found = {(e, *sorted((t, c))) for e, t, c in zip(*(drawn.answers[who] for who in ("expected", "tuned", "champion")), strict=True)}
    assert found <= known
    tuned, champion = (drawn.numbers[f"{who}.accuracy"].values for who in ("tuned", "champion"))
    assert abs((tuned - champion).sum()) < 30
    assert (tuned == [e == t for e, t in zip(drawn.answers["expected"], drawn.answers["tuned"], strict=True)]).all()


def test_all_swaps_of_stored_rows_are_counted() -> None:
    # Of 43 differing rows 28 or more on one side are superior: the binomial tail.
    assert _as_they_are(600, 43) == pytest.approx(0.033, abs=0.0005)


def test_folders_may_be_added() -> None:
    assert Path("x") in stored_folders(["x"])
