"""Whether texts repeat one another."""

from random import Random

import pytest

from tasks.data.diversity import find_low_diversity
from tests.unit.tasks.data.dataset_builders import banking77_rows, diversity_of, helpdesk_rows, kept_rows

TEMPLATES = (
    "Please tell me the price of a ticket from {a} to {b}.",
    "My order {n} for {a} has not arrived yet.",
    "How long does a parcel from {a} to {b} take?",
    "The invoice {n} of {a} is wrong, please send a new one.",
    "Why was I charged twice for order {n}?",
)


def filled(rows: int, share: float = 1.0, seed: int = 0) -> list[str]:
    """Templates with names and numbers, and for the rest requests that people wrote."""
    chance = Random(seed)
    natural = helpdesk_rows()["input"].to_list()
    texts = []
    for number in range(rows):
        values = {"a": f"city{chance.randrange(300)}", "b": f"city{chance.randrange(300)}", "n": chance.randrange(10**6)}
        texts.append(chance.choice(TEMPLATES).format(**values) if number < share * rows else natural[number])
    return texts


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_templates_with_other_names_and_numbers_are_found(share: float) -> None:
    diversity = diversity_of(kept_rows(filled(1500, share), ["a", "b", "c"] * 500))
    assert diversity.templated == pytest.approx(share, abs=0.05)
    found = find_low_diversity(diversity, 1500, labelled=True)[0]
    assert (found.code, found.level) == ("LOW_DIVERSITY", "warning")
    assert f"distinct-2 {diversity.distinct_2:.2f}" in found.message


def test_texts_that_combine_few_words_are_found() -> None:
    texts = [f"the {one} {two} of {three}" for one in ("red", "green", "blue") for two in ("car", "hat") for three in map(str, range(300))]
    diversity = diversity_of(kept_rows([text.rstrip("0123456789") for text in texts], ["a"] * len(texts)))
    assert diversity.distinct_2 < 0.01
    assert find_low_diversity(diversity, len(texts), labelled=True)[0].level == "warning"


@pytest.mark.parametrize("rows", [helpdesk_rows, pytest.param(banking77_rows, marks=pytest.mark.banking77)])
def test_messages_that_people_wrote_are_diverse_enough(rows: object) -> None:
    assert callable(rows)
    table = rows()
    diversity = diversity_of(table)
    assert diversity.templated < 0.02
    assert diversity.distinct_2 > 0.4
    assert [finding.level for finding in find_low_diversity(diversity, table.height, labelled=True)] == ["info"]


def test_one_instruction_is_usual_for_labels_and_calls_for_advice_in_free_text() -> None:
    diversity = diversity_of(helpdesk_rows())
    assert (diversity.instructions, diversity.instruction_entropy) == (1, 0)
    (label,), (free,) = (find_low_diversity(diversity, 2879, labelled=labelled) for labelled in (True, False))
    assert (label.level, bool(label.hint), free.level, bool(free.hint)) == ("info", False, "info", True)


def test_no_instruction_at_all_and_several_are_not_mentioned() -> None:
    texts = helpdesk_rows()["input"].to_list()[:400]
    for instructions in ([None] * 400, ["Sum up.", "Translate."] * 200):
        diversity = diversity_of(kept_rows(texts, texts, instructions=instructions))
        assert find_low_diversity(diversity, 400, labelled=False) == []


@pytest.mark.parametrize(("counts", "entropy"), [((50, 50), 1.0), ((99, 1), 0.081), ((100,), 0.0), ((), 0.0)])
def test_the_spread_of_instructions_is_their_entropy(counts: tuple[int, ...], entropy: float) -> None:
    told = [f"Do {number}." for number, count in enumerate(counts) for _ in range(count)]
    diversity = diversity_of(kept_rows(["x"] * len(told), ["a"] * len(told), instructions=told))
    assert diversity.instruction_entropy == pytest.approx(entropy, abs=0.001)


def test_distinct_words_are_counted_by_hand() -> None:
    diversity = diversity_of(kept_rows(["a b a b", "a b c"], ["x", "y"]))
    assert diversity.looked_at == 2
    assert diversity.distinct_1 == pytest.approx(3 / 7)
    assert diversity.distinct_2 == pytest.approx(3 / 5), "a b, b a, b c of five; none from row to row"


def test_tables_of_different_size_compare_and_order_makes_no_difference() -> None:
    rows = helpdesk_rows()
    whole, half = diversity_of(rows), diversity_of(rows.sample(fraction=0.5, seed=1))
    assert half.distinct_2 == pytest.approx(whole.distinct_2, abs=0.02)
    assert diversity_of(rows.sample(fraction=1, shuffle=True, seed=1)) == whole


def test_an_empty_table_has_no_diversity() -> None:
    diversity = diversity_of(kept_rows([], []))
    assert (diversity.looked_at, diversity.distinct_1, diversity.templated, diversity.instructions) == (0, 0, 0, 0)
