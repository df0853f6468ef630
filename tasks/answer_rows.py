"""Rows that are answered together, and which slot each of them has.

A slot keeps what it holds until another row needs it. So a prompt that begins as one did a moment ago takes over those keys and values, and
only the rest of it is computed: prompts of several templates, longer and longer beginnings of one chat, or just questions that start alike.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks.attention_slots import Beginning


@dataclass(eq=False)
class Row:
    """A prompt that is being answered. `ids` are its tokens behind the lead, of which `prompt` are the prompt's, `stored` have keys."""

    number: int
    slot: int
    ids: list[int]
    prompt: int
    stored: int

    @property
    def answer(self) -> list[int]:
        """Its tokens so far."""
        return self.ids[self.prompt :]


class Known(NamedTuple):
    """The longest beginning of a prompt that a slot holds: so many tokens."""

    slot: int
    tokens: int


class Places:
    """So many slots, their rows, and those that had them before."""

    def __init__(self, count: int) -> None:
        self._free = deque(range(count))
        self._rows: dict[int, Row] = {}
        self._copies: list[Beginning] = []

    @property
    def any_free(self) -> bool:
        """Whether another row can come in."""
        return bool(self._free)

    def find(self, ids: Sequence[int]) -> Known:
        """What is known of a prompt; at most all tokens but the last, behind which its answer begins.

        Slots that are yet to be copied to do not count.
        """
        written = {copy.slot for copy in self._copies}
        rows = [row for slot, row in self._rows.items() if row.ids[0] == ids[0] and slot not in written]
        counts = [(min(_alike(ids, row.ids), row.stored, len(ids) - 1), row.slot) for row in rows]
        count, slot = max(counts, default=(0, -1))
        return Known(slot, count)

    def take(self, number: int, ids: list[int], known: Known) -> Row:
        """A slot for a prompt: the very one that holds its beginning if nobody needs it, or the one that has been free for longest."""
        slot = known.slot if known.tokens and known.slot in self._free else self._free[0]
        self._free.remove(slot)
        if known.tokens and slot != known.slot:
            self._copies.append(Beginning(known.slot, slot, known.tokens))
        self._rows[slot] = Row(number, slot, ids, len(ids), known.tokens)
        return self._rows[slot]

    def copies(self) -> list[Beginning]:
        """What has to be copied before the rows taken since the last time are computed."""
        copies, self._copies = self._copies, []
        return copies

    def leave(self, row: Row) -> None:
        """Frees a row's slot; what it holds can still be taken over."""
        self._free.append(row.slot)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
