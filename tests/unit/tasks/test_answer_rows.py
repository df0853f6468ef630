"""Places of rows: what a slot is said to hold of a prompt is what it holds, whoever had it before."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.answer_rows import Known, Places, Row

TOKENS = st.integers(0, 2)
PROMPT = st.lists(TOKENS, min_size=1, max_size=6)
ROUNDS = st.lists(st.tuples(st.lists(PROMPT, max_size=4), st.randoms(use_true_random=False)), max_size=12)


class Memory:
    """What passes write: the tokens of each slot's columns."""

    def __init__(self, slots: int) -> None:
        self.held: list[list[int | None]] = [[None] * 8 for _ in range(slots)]

    def copy(self, places: Places) -> None:
        before = [list(columns) for columns in self.held]
        for copy in places.copies():
            self.held[copy.slot][: copy.count] = before[copy.source][: copy.count]

    def compute(self, row: Row) -> None:
        self.held[row.slot][row.stored : len(row.ids)] = row.ids[row.stored :]
        row.stored = len(row.ids)


def take(places: Places, ids: list[int]) -> Row:
    return places.take(0, ids, places.find(ids))


@given(rounds=ROUNDS, slots=st.integers(1, 5))
def test_a_row_starts_behind_what_its_slot_holds_of_it(rounds: list[tuple[list[list[int]], object]], slots: int) -> None:
    places, memory = Places(slots), Memory(slots)
    active: list[Row] = []
    for prompts, chance in rounds:
        fresh = []
        for ids in prompts:
            if places.any_free:
                fresh.append(take(places, ids))
        memory.copy(places)
        assert len({row.slot for row in active + fresh}) == len(active + fresh)
        for row in fresh:
            assert row.stored < len(row.ids)
            assert memory.held[row.slot][: row.stored] == row.ids[: row.stored]
            memory.compute(row)
        active += fresh
        chance.shuffle(active)  # type: ignore[attr-defined]
        for _ in range(len(active) // 2):
            places.leave(active.pop())


def test_the_longest_beginning_is_found_wherever_it_is() -> None:
    places, memory = Places(3), Memory(3)
    rows = [take(places, [1, 2, 3, 4]), take(places, [1, 2, 5])]
    assert [row.stored for row in rows] == [0, 0], "nothing is stored before a pass"
    memory.copy(places)
    for row in rows:
        memory.compute(row)
    assert places.find([1, 2, 5, 6]) == Known(rows[1].slot, 3)
    assert places.find([1, 2, 3, 4]) == Known(rows[0].slot, 3), "the last token is computed: its answer begins behind it"
    assert places.find([7, 2, 3]).tokens == 0


def test_a_slot_that_nobody_needs_is_gone_on_with_and_nothing_is_copied() -> None:
    places, memory = Places(2), Memory(2)
    first = take(places, [1, 2, 3])
    memory.compute(first)
    places.leave(first)
    again = take(places, [1, 2, 9])
    assert (again.slot, again.stored, places.copies()) == (first.slot, 2, [])
