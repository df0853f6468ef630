from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.augmentation import AugmentationConfig
from tasks.augment.budget import Budget, quotas
from tests.unit.tasks.augment import augment_builders as build

COUNTS = st.dictionaries(st.text("abcde", min_size=1, max_size=2), st.integers(1, 30), min_size=1, max_size=8)
RATIOS = st.fixed_dictionaries({"synonym": st.sampled_from([0.1, 0.5, 2, 7])}, optional={"paraphrase": st.sampled_from([0.3, 1, 5])})


def config_of(ratios: dict[str, float], **changes: Any) -> AugmentationConfig:
    return build.settings(**{name: {"ratio": ratio} for name, ratio in ratios.items()}, **changes)


def test_each_label_gets_its_share() -> None:
    assert quotas(config_of({"synonym": 0.5}), {"a": 40, "b": 6, "c": 1}) == {"synonym": {"a": 20, "b": 3, "c": 1}}


def test_operators_share_a_label_by_their_ratios() -> None:
    divided = quotas(config_of({"synonym": 1, "paraphrase": 0.5}), {"a": 20, "b": 20})
    assert divided == {"synonym": {"a": 20, "b": 20}, "paraphrase": {"a": 10, "b": 10}}


def test_the_rarest_labels_come_first() -> None:
    wanted = quotas(config_of({"synonym": 0.2}, balance=True), {"a": 30, "b": 10, "c": 5, "d": 5})["synonym"]
    assert wanted == {"a": 0, "b": 0, "c": 5, "d": 5}


def test_no_label_is_filled_beyond_the_most_frequent_one() -> None:
    wanted = quotas(config_of({"synonym": 10}, balance=True), {"a": 12, "b": 10, "c": 11})["synonym"]
    assert wanted == {"a": 0, "b": 2, "c": 1}


def test_free_text_has_nothing_to_balance_and_gets_its_ratio() -> None:
    assert quotas(config_of({"synonym": 0.5}, balance=True), {"": 10}) == {"synonym": {"": 5}}


@given(counts=COUNTS, ratios=RATIOS, balance=st.booleans(), most=st.integers(1, 4))
def test_quotas_keep_to_the_ratios_and_to_the_limit_of_a_row(
    counts: dict[str, int], ratios: dict[str, float], balance: bool, most: int
) -> None:
    divided = quotas(config_of(ratios, balance=balance, max_per_row=most), counts)
    rows, total = sum(counts.values()), sum(sum(labels.values()) for labels in divided.values())
    assert total <= round(min(sum(ratios.values()), most) * rows)
    if not balance:
        assert total == round(min(sum(ratios.values()), most) * rows)
    for label, count in counts.items():
        given_ = sum(labels[label] for labels in divided.values())
        assert given_ <= most * count + 1  # one, by rounding
        if balance and len(counts) > 1:
            assert count + given_ <= max(counts.values())


def test_slots_come_in_the_order_of_rows_and_each_once() -> None:
    labels = ["a"] * 10
    budget = Budget(config_of({"synonym": 1}), [f"row {n}" for n in range(10)], labels, seed=1)
    first = budget.slots("synonym")
    assert [slot.place for slot in first] == list(range(10))
    for slot in first:
        budget.settle("synonym", slot, accepted=slot.place % 2 == 0)
    second = budget.slots("synonym")
    assert len(second) == 5
    assert not {(slot.place, slot.number) for slot in first} & {(slot.place, slot.number) for slot in second}


def test_an_operator_whose_slots_were_all_refused_gets_no_more() -> None:
    budget = Budget(config_of({"synonym": 0.5}), [f"row {n}" for n in range(10)], ["a"] * 10, seed=1)
    for slot in budget.slots("synonym"):
        budget.settle("synonym", slot, accepted=False)
    assert budget.slots("synonym") == []
    assert budget.lacking == {"synonym": 5}


@pytest.mark.parametrize("seed", [1, 2])
def test_another_row_moves_few_choices(seed: int) -> None:
    ids = [f"row {n}" for n in range(100)]
    few = Budget(config_of({"synonym": 0.5}), ids, ["a"] * 100, seed).slots("synonym")
    more = Budget(config_of({"synonym": 0.5}), [*ids, "another"], ["a"] * 101, seed).slots("synonym")
    assert len({slot.place for slot in few} - {slot.place for slot in more}) <= 1


def test_operators_begin_with_other_rows() -> None:
    budget = Budget(config_of({"synonym": 0.5, "paraphrase": 0.5}), [f"row {n}" for n in range(100)], ["a"] * 100, seed=1)
    places = [{slot.place for slot in budget.slots(name)} for name in ("synonym", "paraphrase")]  # type: ignore[arg-type]
    assert 10 < len(places[0] & places[1]) < 40


@given(st.data())
def test_no_row_gets_more_children_than_allowed(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 3))
    labels = data.draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=8))
    config = config_of({"synonym": 3, "paraphrase": 2}, max_per_row=most)
    budget = Budget(config, [f"row {n}" for n in range(len(labels))], labels, seed=3)
    children = Counter[int]()
    for _ in range(4):
        for name in config.operators():
            for slot in budget.slots(name):
                accepted = data.draw(st.booleans())
                budget.settle(name, slot, accepted=accepted)
                children[slot.place] += accepted
    assert max(children.values()) <= most
    assert all(lacking >= 0 for lacking in budget.lacking.values())
