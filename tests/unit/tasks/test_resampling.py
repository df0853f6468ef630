import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.resampling import REPLICATES, Sums, cluster_weights, design_effect, expanded_tail, resample, sum_by_cluster


def mean(sums: Sums) -> Sums:
    found: Sums = sums[..., 0] / sums[..., 1]
    return found


def sums_of(values: list[float]) -> Sums:
    return np.column_stack([values, np.ones(len(values))])


def test_every_replicate_draws_as_many_clusters_as_there_are_and_always_the_same_ones() -> None:
    weights = np.concatenate(list(cluster_weights(30)))
    assert weights.shape == (REPLICATES, 30)
    assert set(weights.sum(axis=1)) == {30.0}
    assert (weights == np.concatenate(list(cluster_weights(30)))).all()


def test_the_interval_of_a_mean_is_about_the_one_of_the_t_distribution() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 400)
    low, high = resample(sums_of(list(values)), mean).percentiles()
    half = 1.966 * values.std(ddof=1) / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_a_stricter_level_is_a_wider_interval() -> None:
    drawn = resample(sums_of([float(at % 7) for at in range(100)]), mean)
    (low, high), (lower, higher) = drawn.percentiles(0.025), drawn.percentiles(0.01)
    assert lower < low < drawn.value < high < higher


def test_heavy_tails_are_read_further_out_than_percentiles_are() -> None:
    drawn = resample(sums_of([*[0.0] * 95, 1.0, 2.0, 4.0, 8.0, 16.0]), mean)
    (low, high), (lower, higher) = drawn.percentiles(), drawn.wider()
    assert lower < low
    assert higher == high  # the percentiles lie to the right, where the tail is
    assert lower == pytest.approx(drawn.value - 1.984 * drawn.replicates.std(), rel=1e-3)


def test_few_clusters_are_read_further_out() -> None:
    assert expanded_tail(0.025, 20) < expanded_tail(0.025, 400) < 0.025
    assert expanded_tail(0.025, 100_000) == pytest.approx(0.025, rel=1e-3)
    assert expanded_tail(0.025, 1) == 0.0


def test_a_replicate_that_is_no_number_leaves_no_interval() -> None:
    drawn = resample(np.array([[1.0, 1.0]] + [[0.0, 0.0]] * 5), lambda of: np.where(of[..., 1] > 0, 1.0, math.nan))
    assert all(map(math.isnan, (*drawn.percentiles(), *drawn.wider())))


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=40), st.data())
def test_a_better_row_never_lowers_the_interval(values: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(values) - 1))
    better = [1.0 if place == at else value for place, value in enumerate(values)]
    before, after = (resample(sums_of(order), mean).percentiles() for order in (values, better))
    assert after[0] >= before[0] - 1e-12
    assert after[1] >= before[1] - 1e-12


def test_rows_of_a_cluster_are_drawn_together() -> None:
    rows = sums_of([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    clusters = np.array([0, 0, 0, 1, 1, 1])
    assert sum_by_cluster(rows, clusters).tolist() == [[3.0, 3.0], [0.0, 3.0]]
    drawn = resample(sum_by_cluster(rows, clusters), mean)
    assert set(drawn.replicates) == {0.0, 0.5, 1.0}


def test_the_design_effect_is_one_without_clusters_and_their_size_where_all_their_rows_are_alike() -> None:
    alone = np.arange(200)
    values = np.random.default_rng(1).normal(size=200)
    assert design_effect(values, alone) == 1.0
    assert design_effect(np.repeat(values, 4), np.repeat(alone, 4)) == pytest.approx(4.0, rel=0.02)
    assert design_effect(np.zeros(8), np.repeat(np.arange(2), 4)) == 4.0
