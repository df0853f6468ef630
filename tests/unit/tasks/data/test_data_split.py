"""Sides are keyed hashes of groups, with a floor for each label."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.split import choose_rows, find_leaks, hash_share, hold_out

GROUPS = st.dictionaries(st.text(min_size=1, max_size=6), st.sampled_from("abc"), max_size=60).map(lambda groups: list(groups.items()))
NOTHING: Mapping[str, bool] = MappingProxyType({})
FRACTIONS = st.sampled_from([0.01, 0.1, 0.4, 0.9, 0.99])


def naturally_held(groups: list[tuple[str, str]], fraction: float) -> set[str]:
    return {group for group, _ in groups if hash_share("key", "test", group) < fraction}


def held_out(groups: list[tuple[str, str]], fraction: float, *, purpose: str = "test", before: Mapping[str, bool] = NOTHING) -> set[str]:
    rows = [(group, label, before.get(group)) for group, label in groups]
    frame = pl.DataFrame(rows, schema={"group": pl.String, "label": pl.String, "held": pl.Boolean}, orient="row")
    return set(hold_out(frame, fraction, "key", purpose=purpose))


def rows(texts: list[str], labels: list[str], **columns: list[str]) -> pl.DataFrame:
    ids = [f"{text}-{index}" for index, text in enumerate(texts)]
    return pl.DataFrame({"row_id": ids, "text": texts, "label": labels, **columns})


@given(GROUPS, FRACTIONS, st.sampled_from([("validation", 1), ("test", 2)]))
def test_a_label_with_enough_groups_has_some_on_either_side(
    groups: list[tuple[str, str]], fraction: float, purpose_and_keep: tuple[str, int]
) -> None:
    purpose, keep = purpose_and_keep
    held = held_out(groups, fraction, purpose=purpose)
    for label, size in Counter(label for _, label in groups).items():
        count = sum(group in held for group, other in groups if other == label)
        assert size <= keep or 1 <= count <= size - keep


@given(GROUPS, GROUPS, FRACTIONS)
def test_adding_groups_moves_none_unless_a_label_was_short(
    groups: list[tuple[str, str]], more: list[tuple[str, str]], fraction: float
) -> None:
    after = groups + [(group, label) for group, label in more if group not in dict(groups)]
    held, held_after = (held_out(some, fraction) for some in (groups, after))
    natural = naturally_held(groups, fraction)
    for label, size in Counter(label for _, label in groups).items():
        mine = {group for group, other in groups if other == label}
        if size > 2 and 1 <= len(mine & natural) <= size - 2:
            assert mine & held == mine & held_after == mine & natural


@given(GROUPS, FRACTIONS, st.randoms())
def test_the_order_of_groups_makes_no_difference(groups: list[tuple[str, str]], fraction: float, random: st.DataObject) -> None:
    shuffled = groups.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (held_out(some, fraction) for some in (groups, shuffled))
    assert one == other


@given(GROUPS, GROUPS, FRACTIONS, FRACTIONS)
def test_groups_of_an_earlier_run_stay_where_they_were(
    groups: list[tuple[str, str]], more: list[tuple[str, str]], fraction: float, other: float
) -> None:
    held = held_out(groups, fraction)
    before = {group: group in held for group, _ in groups}
    after = groups + [(group, label) for group, label in more if group not in before]
    assert held_out(after, other, before=before) & before.keys() == held


def test_a_short_label_is_topped_up_in_hash_order() -> None:
    groups = [(f"g{number}", "rare") for number in range(5)]
    nearest = min((hash_share("key", "test", group), group) for group, _ in groups)[1]
    assert held_out(groups, 0.0001) == {nearest}


def test_about_the_fraction_is_held_out() -> None:
    groups = [(f"g{number}", "a") for number in range(20_000)]
    assert len(held_out(groups, 0.4)) == pytest.approx(8_000, abs=300)


def test_another_key_or_purpose_holds_out_others() -> None:
    shares = {hash_share(key, purpose, "g") for key in ("k1", "k2") for purpose in ("test", "validation")}
    assert len(shares) == 4


@given(st.text(max_size=100), st.text())
def test_a_share_is_at_least_zero_and_below_one(key: str, name: str) -> None:
    assert 0 <= hash_share(key or "k", "test", name) < 1


def test_a_share_stays_what_it_was_when_the_code_is_edited() -> None:
    assert hash_share("tunegate", "test", "group") == pytest.approx(0.3704748, abs=1e-7)


def places(texts: list[str], groups: list[str]) -> pl.DataFrame:
    count = len(texts)
    table = rows(texts, ["a"] * count, group=groups, file=["f.csv"] * count)
    return table.with_columns(line=pl.int_range(2, count + 2))


def test_a_row_that_says_the_same_as_a_held_out_row_leaks() -> None:
    leaks = find_leaks(places(["t1", "t2"], ["g1", "g2"]), places(["t0", "t1"], ["g8", "g9"]), "test", None)
    assert leaks.rows() == [("t1-0", "LEAK_EXACT", "says the same as f.csv, line 3, a test row")]


def test_a_row_of_a_held_out_group_leaks() -> None:
    leaks = find_leaks(places(["t1", "t2"], ["g1", "g2"]), places(["t3"], ["g2"]), "test", None)
    assert leaks.select("row_id", "code").rows() == [("t2-1", "LEAK_GROUP")]


def test_limits_take_turns_over_labels() -> None:
    table = rows([f"t{number}" for number in range(100)], ["common"] * 90 + ["rare"] * 10)
    kept = table.filter(choose_rows(table, 30, "key"))
    assert dict(kept["label"].value_counts().iter_rows()) == {"common": 20, "rare": 10}


@given(st.integers(1, 40), st.randoms())
def test_a_limit_keeps_that_many_whatever_the_order(limit: int, random: st.DataObject) -> None:
    table = rows([f"t{number % 13}" for number in range(30)], ["a", "b", "c"] * 10)
    shuffled = table.sample(fraction=1, shuffle=True, seed=random.randrange(10_000))  # type: ignore[attr-defined]
    kept, again = (set(some.filter(choose_rows(some, limit, "key"))["row_id"]) for some in (table, shuffled))
    assert kept == again
    assert len(kept) == min(limit, 30)


def test_raising_a_limit_drops_no_row() -> None:
    table = rows([f"t{number}" for number in range(60)], ["a", "b"] * 30)
    few, more = (set(table.filter(choose_rows(table, limit, "key"))["row_id"]) for limit in (20, 30))
    assert few < more
