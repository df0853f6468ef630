import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.statistics import (
    Pairs,
    count_pairs,
    holm_levels,
    median_interval,
    paired_interval,
    rows_for_power,
    rows_to_decide,
    wilson_interval,
)


@st.composite
def pairs(draw: st.DrawFn) -> Pairs:
    rows = draw(st.integers(1, 2000))
    gained = draw(st.integers(0, rows))
    return Pairs(rows, gained, draw(st.integers(0, rows - gained)))


@pytest.mark.parametrize(
    ("found", "confidence", "published"),
    [
        # Fagerland, Lydersen and Laake 2014, Stat. Med. 33:2850, airway hyper-responsiveness: Tango's interval.
        (Pairs(21, 1, 7), 0.95, (-0.517, -0.026)),
        # R's PropCIs 0.3: scoreci.mp(25, 28, 618, 0.90), which is (28 - 25) / 618.
        (Pairs(618, 28, 25), 0.90, (-0.0148, 0.0247)),
    ],
)
def test_paired_interval_is_the_published_one(found: Pairs, confidence: float, published: tuple[float, float]) -> None:
    digits = 3 if published == (-0.517, -0.026) else 4
    assert tuple(round(end, digits) for end in paired_interval(found, confidence)) == published


@pytest.mark.parametrize(
    ("successes", "rows", "published"),
    # Newcombe 1998, Stat. Med. 17:857, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval_is_the_published_one(successes: int, rows: int, published: tuple[float, float]) -> None:
    assert tuple(round(end, 4) for end in wilson_interval(successes, rows)) == published


@pytest.mark.parametrize(("count", "interval"), [(5, None), (6, (1, 6)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))])
def test_median_interval_is_the_tabulated_one(count: int, interval: tuple[int, int] | None) -> None:
    assert median_interval(range(count, 0, -1)) == interval


@given(pairs())
def test_paired_interval_holds_the_difference_and_stays_in_range(found: Pairs) -> None:
    lower, upper = paired_interval(found)
    assert -1 <= lower <= found.difference <= upper <= 1
    assert lower < upper


@given(pairs())
def test_swapping_the_contenders_mirrors_the_interval(found: Pairs) -> None:
    lower, upper = paired_interval(found)
    assert paired_interval(Pairs(found.rows, found.lost, found.gained)) == pytest.approx((-upper, -lower), abs=1e-9)


@given(pairs())
def test_more_rows_at_the_same_rates_never_widen_the_interval(found: Pairs) -> None:
    lower, upper = paired_interval(found)
    closer = paired_interval(found.scaled(2 * found.rows))
    assert lower - 1e-9 <= closer[0] <= closer[1] <= upper + 1e-9


@given(pairs().filter(lambda found: found.gained + found.lost < found.rows))
def test_one_more_row_right_never_lowers_the_interval(found: Pairs) -> None:
    lower, upper = paired_interval(found)
    better = paired_interval(Pairs(found.rows, found.gained + 1, found.lost))
    assert better[0] >= lower - 1e-9
    assert better[1] >= upper - 1e-9


def test_contenders_that_never_differ_still_leave_uncertainty() -> None:
    lower, upper = paired_interval(Pairs(100, 0, 0))
    assert (round(lower, 3), round(upper, 3)) == (-0.037, 0.037)


@pytest.mark.parametrize("rates", [(0.05, 0.05), (0.08, 0.03), (0.2, 0.15)])
def test_paired_interval_covers_the_truth_about_95_times_in_100(rates: tuple[float, float]) -> None:
    gained, lost = rates
    rows, repeats, chance = 400, 4000, random.Random(1)
    weights = [gained, lost, 1 - gained - lost]
    tables = Counter(tuple(sorted(Counter(chance.choices("glx", weights, k=rows)).items())) for _ in range(repeats))
    covered = 0
    for table, times in tables.items():
        counts = dict(table)
        lower, upper = paired_interval(Pairs(rows, counts.get("g", 0), counts.get("l", 0)))
        covered += times * (lower <= gained - lost <= upper)
    assert 0.935 <= covered / repeats <= 0.965


def test_counts_rows_that_only_one_contender_has_right() -> None:
    assert count_pairs([True, True, False, False, True], [True, False, True, False, False]) == Pairs(5, 2, 1)


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False])])
def test_refuses_to_pair_outcomes_that_are_no_pairs(first: list[bool], second: list[bool]) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        count_pairs(first, second)


@pytest.mark.parametrize(("successes", "rows"), [(0, 0), (3, 2), (-1, 5)])
def test_refuses_a_proportion_that_is_none(successes: int, rows: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, rows)


@given(st.integers(10, 500), st.floats(0.01, 0.2))
def test_the_estimated_rows_are_the_fewest_that_decide(rows: int, margin: float) -> None:
    found = Pairs(rows, 0.1 * rows, 0.1 * rows)

    def decided(interval: tuple[float, float]) -> bool:
        return interval[0] > -margin

    if decided(paired_interval(found)):
        return
    more = rows_to_decide(rows, lambda many: decided(paired_interval(found.scaled(many))))
    assert more is not None
    assert decided(paired_interval(found.scaled(rows + more)))
    assert not decided(paired_interval(found.scaled(rows + more - 1)))


def test_no_number_of_rows_decides_when_the_rates_lie_on_the_bound() -> None:
    on_bound = Pairs(100, 5, 10)
    assert rows_to_decide(100, lambda many: paired_interval(on_bound.scaled(many))[0] > -0.05) is None


@given(st.dictionaries(st.text(min_size=1), st.floats(1e-6, 1), max_size=8), st.integers(0, 3))
def test_holm_shows_what_stepping_down_the_p_values_shows(p_values: dict[str, float], unread: int) -> None:
    level, claims = 0.025, len(p_values) + unread
    levels = holm_levels(claims, level, lambda name, at: p_values[name] <= at, list(p_values))
    shown = {name for name, at in levels.items() if p_values[name] <= at}
    stepped = set()
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if p_values[name] > level / (claims - rank):
            break
        stepped.add(name)
    assert shown == stepped
    assert set(levels) == set(p_values)


def test_the_rows_planned_for_have_the_power_that_was_asked_for() -> None:
    # Equal models of which one row in ten comes out differently, margin 3 points.
    rows = rows_for_power(0.0, -0.03, math.sqrt(0.1), spread_at_bound=math.sqrt(0.1 - 0.03**2))
    draw = random.Random(1)
    passed = 0
    for _ in range(1000):
        fates = Counter(draw.choices(("gained", "lost", "same"), (0.05, 0.05, 0.9), k=rows))
        passed += paired_interval(Pairs(rows, fates["gained"], fates["lost"]))[0] > -0.03
    assert 860 < rows < 890
    assert 0.77 < passed / 1000 < 0.84


def test_no_number_of_rows_shows_a_gain_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="above the bound"):
        rows_for_power(0.0, 0.0, 0.3)
