"""Profiles of tables, and how far they have moved."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.findings import Drift
from tasks.data.overview import measured
from tasks.data.profile import EDGES, Embedded, Languages, build_profile, compare_profiles, histogram
from tests.unit.tasks.data.dataset_builders import banking77_rows, helpdesk_rows, kept_rows

WORDS = st.lists(st.sampled_from(["short", "a text that is a little longer than the others", "", "x" * 900]), max_size=40)


def drift(now: pl.DataFrame, before: pl.DataFrame) -> Drift:
    return compare_profiles(build_profile(now), build_profile(before))


def halves(rows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    one = pl.Series(np.random.default_rng(seed).random(rows.height) < 0.5)
    return rows.filter(one), rows.filter(~one)


@given(st.lists(st.integers(0, 10**7), max_size=50))
def test_every_length_is_in_the_bar_that_says_so(lengths: list[int]) -> None:
    bars = histogram(np.array(lengths, dtype=np.int64))
    assert sum(bar.count for bar in bars) == len(lengths)
    assert all(bar.count == sum(bar.low <= length < bar.high for length in lengths) for bar in bars)
    assert [bar.high for bar in bars[:-1]] == [bar.low for bar in bars[1:]]
    assert not bars or (bars[0].count and bars[-1].count)


def test_histograms_have_at_most_thirty_bars() -> None:
    assert len(EDGES) - 1 <= 30
    assert list(EDGES) == sorted(set(EDGES))


def test_a_profile_holds_what_was_counted_and_what_was_measured() -> None:
    rows = kept_rows(["four", None], ["yes", "no"], instructions=["Decide.", "Say no."])
    embedded = Embedded(centroid=(0.6, 0.8), spread=0.2, rows=2)
    profile = build_profile(rows, tokens=[5, 6, 9], languages=Languages({"en": 1.0}, 2), embedded=embedded)
    assert [(bar.low, bar.count) for bar in profile.characters] == [(4, 2)], "the instruction stands for a missing input"
    assert [(bar.low, bar.count) for bar in profile.answer_characters] == [(0, 2)]
    assert [(bar.low, bar.count) for bar in profile.tokens] == [(4, 2), (8, 1)]
    assert (profile.rows, profile.labels, profile.tokens_looked_at) == (2, {"no": 1, "yes": 1}, 3)
    assert (profile.languages, profile.languages_looked_at) == ({"en": 1.0}, 2)
    assert (profile.centroid, profile.spread, profile.embedded) == ((0.6, 0.8), 0.2, 2)


def test_what_was_not_measured_is_empty_and_compares_with_nothing() -> None:
    rows = kept_rows(["a"], ["b"], labelled=False)
    found = drift(rows, rows)
    assert build_profile(rows).spread is None
    assert (found.label_distance, found.language_distance, found.embedding_distance) == (None, None, None)


@given(WORDS, WORDS)
def test_distances_lie_in_their_range_and_are_nought_between_equals(now: list[str], before: list[str]) -> None:
    tables = [kept_rows(texts, [text[:5] or "none" for text in texts]) for texts in (now, before)]
    found = drift(*tables)
    assert found.length_psi is None or found.length_psi >= 0
    assert found.label_distance is None or 0 <= found.label_distance <= 1
    same = drift(tables[0], tables[0])
    assert same.warnings == ()
    assert not same.length_psi
    assert not same.label_distance


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [2879, 200, 30])
def test_two_halves_of_a_table_raise_no_warning(seed: int, rows: int) -> None:
    assert drift(*halves(helpdesk_rows().sample(rows, seed=seed), seed)).warnings == ()


@pytest.mark.banking77
def test_two_halves_of_banking77_raise_no_warning() -> None:
    rows = banking77_rows()
    assert [drift(*halves(rows, seed)).warnings for seed in range(20)] == [()] * 20
    assert [drift(*halves(rows.sample(300, seed=seed), seed)).warnings for seed in range(20)] == [()] * 20


def test_texts_twice_as_long_raise_a_warning_with_numbers() -> None:
    rows = helpdesk_rows()
    found = drift(measured(rows.with_columns(input=pl.col("input") + pl.col("input"))), rows)
    assert found.length_psi is not None
    assert found.length_psi > 0.25
    assert len(found.warnings) == 1
    assert f"population stability index {found.length_psi:.2f}, a large change" in found.warnings[0]
    assert "the median is 192 to 255 characters, before 96 to 127" in found.warnings[0]


def test_lengths_that_all_lay_in_one_bar_can_move_out_of_it() -> None:
    before, now = kept_rows(["x" * 10] * 100, ["a"] * 100), kept_rows(["x" * 100] * 100, ["a"] * 100)
    assert (drift(now, before).length_psi or 0) > 0.25


def test_longer_free_text_answers_raise_a_warning_and_longer_labels_do_not() -> None:
    texts = helpdesk_rows()["input"].to_list()
    for labelled, warnings in ((False, 1), (True, 0)):
        before, now = (kept_rows(texts, answers, labelled=labelled) for answers in (["a"] * len(texts), ["a" * 40] * len(texts)))
        found = [warning for warning in drift(now, before).warnings if "lengths" in warning]
        assert len(found) == warnings


def test_labels_in_other_shares_raise_a_warning_that_names_the_one_that_moved_most() -> None:
    rows = helpdesk_rows()
    found = drift(rows.filter((pl.col("label") == "network_vpn") | (pl.int_range(pl.len()) % 3 == 0)), rows)
    assert found.label_distance is not None
    assert found.label_distance > 0.1
    assert len(found.warnings) == 1
    assert f"Jensen-Shannon distance {found.label_distance:.2f}" in found.warnings[0]
    assert "'network_vpn' from 8.3% to " in found.warnings[0]


def test_the_jensen_shannon_distance_is_that_of_a_hand_computed_case() -> None:
    before, now = kept_rows(["x"] * 4, ["a", "a", "b", "b"]), kept_rows(["x"] * 4, ["a"] * 4)
    divergence = 0.5 * (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25) + np.log2(1 / 0.75))
    assert drift(now, before).label_distance == pytest.approx(np.sqrt(divergence))


def test_labels_that_come_and_go_are_named_unless_they_are_too_rare_to_tell() -> None:
    rows = helpdesk_rows()
    without = rows.filter(pl.col("label") != "network_vpn")
    assert "labels that are gone: 'network_vpn'" in drift(without, rows).warnings
    assert "labels that were not there before: 'network_vpn'" in drift(rows, without).warnings
    few = kept_rows(["x"] * 31, ["a"] * 30 + ["b"])
    assert drift(few.head(30), few).warnings == ()


def test_labels_that_became_free_text_are_said() -> None:
    rows = helpdesk_rows()
    assert "answers are free text, before they were labels" in drift(rows.with_columns(label=pl.lit("")), rows).warnings


def test_another_mix_of_languages_raises_a_warning_if_the_samples_are_large_enough() -> None:
    rows = kept_rows(["x"], ["y"])
    for looked_at, warnings in ((1000, 1), (10, 0)):
        now, before = (build_profile(rows, languages=Languages(shares, looked_at)) for shares in ({"en": 0.8, "de": 0.2}, {"en": 1.0}))
        assert len(compare_profiles(now, before).warnings) == warnings


@pytest.mark.parametrize(("angle", "rows", "warnings"), [(0.1, 1000, 0), (0.4, 1000, 1), (0.4, 20, 0)])
def test_centroids_far_apart_raise_a_warning_if_the_samples_are_large_enough(angle: float, rows: int, warnings: int) -> None:
    table = kept_rows(["x"], ["y"])
    centroids = [(0.5, 0.0), (0.5 * np.cos(angle), 0.5 * np.sin(angle))]
    now, before = (build_profile(table, embedded=Embedded(centroid, 0.5, rows)) for centroid in centroids)
    found = compare_profiles(now, before)
    assert found.embedding_distance == pytest.approx(1 - np.cos(angle))
    assert len(found.warnings) == warnings


def test_centroids_of_different_models_do_not_compare() -> None:
    table = kept_rows(["x"], ["y"])
    now, before = (build_profile(table, embedded=Embedded(centroid, 0.5, 9)) for centroid in ((0.5, 0.0), (0.5, 0.0, 0.0)))
    assert compare_profiles(now, before).embedding_distance is None
