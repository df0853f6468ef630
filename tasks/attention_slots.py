"""The keys and values of many rows that are answered together, and the attention of a row to its own.

What all rows begin with, the lead, is held once and read once. Behind it each row has a slot; the column of a token there is its position
behind the lead. So a token that was guessed wrongly is overwritten by the next one, and which keys a query sees follows from its position
alone, in layers with and without a sliding window.

The model takes the new tokens of all rows as one sequence without padding and without a cache, and knows of nothing. Its attention
(`tasks.attention`) hands over here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_WORTH_A_GROUP = 128
"""Empty cells that cost as much as another group, which is some twenty more calls a layer."""
_ROUND_UP = 64
"""Columns come in multiples of this, so that slots are seldom made anew for a prompt that is a little longer."""


@dataclass(frozen=True)
class NewTokens:
    """Where the new tokens of one row go: into its slot, from the column `start` on."""

    slot: int
    start: int
    count: int


@dataclass(frozen=True)
class _Group:
    """Neighbouring rows that are spread to cells of equal width for the matrix products, and gathered again.

    Attributes:
        tokens: which of the pass's tokens are theirs.
        slots: of each row, shape (rows,).
        spread: for each cell of (rows, width) a token of the group.
        gather: for each token its cell.
        columns: of each cell, shape (rows, width). Cells without a token are like the row's last one; nobody looks at them.
        seen: columns that hold anything at all.
        hidden: by window, see :meth:`Slots._hidden`.
    """

    tokens: slice
    slots: "torch.Tensor"
    spread: "torch.Tensor"
    gather: "torch.Tensor"
    columns: "torch.Tensor"
    seen: int
    hidden: "dict[int | None, torch.Tensor]" = field(default_factory=dict)


class Slots:
    """What `tasks.attention` asks in a model's layers, see the module."""

    def __init__(self, lead: "Sequence[tuple[torch.Tensor, torch.Tensor]]", count: int) -> None:
        """Makes slots without columns.

        Args:
            lead: keys and values of each layer, shape (kinds, tokens, size).
            count: how many rows there may be at a time.
        """
        self._lead, self._count, self._columns = lead, count, 0
        self._own: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._places: torch.Tensor | None = None
        self._groups: list[_Group] = []

    @property
    def lead(self) -> int:
        """Tokens that all rows begin with, virtual ones included."""
        return self._lead[0][0].shape[1]

    def reserve(self, columns: int) -> None:
        """Makes room for rows of so many tokens behind the lead; what is there stays."""
        if columns <= self._columns:
            return
        wider = -(-columns // _ROUND_UP) * _ROUND_UP
        before, self._columns = self._columns, wider
        # Zeros: a weight of zero times what happens to lie in memory need not be zero.
        fresh = [tuple(x.new_zeros(len(x), self._count, wider, x.shape[-1]) for x in layer) for layer in self._lead]
        for old, new in zip(self._own, fresh, strict=False):
            for x, y in zip(old, new, strict=True):
                y[:, :, :before] = x
        self._own = fresh  # type: ignore[assignment]  # a tuple of two

    def expect(self, rows: Sequence[NewTokens]) -> None:
        """Says what the next forward pass brings: the new tokens of these rows, one row after the other; best in order of their number."""
        import torch

        places = [row.slot * self._columns + column for row in rows for column in range(row.start, row.start + row.count)]
        self._places = torch.tensor(places, device=self._device)
        self._groups, first = [], 0
        for part in _parts([row.count for row in rows]):
            self._groups.append(self._group(rows[part], first))
            first = self._groups[-1].tokens.stop

    def _group(self, rows: Sequence[NewTokens], first: int) -> _Group:
        import torch

        counts, starts, slots = (torch.tensor([getattr(row, name) for row in rows]) for name in ("count", "start", "slot"))
        steps = torch.arange(int(counts.max()))
        inside = torch.minimum(steps, counts[:, None] - 1)
        return _Group(
            tokens=slice(first, first + int(counts.sum())),
            slots=slots.to(self._device),
            spread=((counts.cumsum(0) - counts)[:, None] + inside).flatten().to(self._device),
            gather=(steps < counts[:, None]).flatten().nonzero()[:, 0].to(self._device),
            columns=(starts[:, None] + inside).to(self._device),
            seen=int((starts + counts).max()),
        )  # fmt: skip

    def attend(
        self, query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", layer: int, window: int | None, softcap: float | None
    ) -> "torch.Tensor":
        """Stores new keys and values, and lets each query meet the lead and its own row. Softmax in fp32.

        Args:
            query: scaled, shape (heads, tokens, size).
            key: shape (kinds, tokens, size); so is `value`.
            window: how many positions a query sees, its own included.

        Returns:
            Shape (heads, tokens, size).
        """
        import torch

        self._store(layer, key, value)
        return torch.cat([self._attend(group, query[:, group.tokens], layer, window, softcap) for group in self._groups], dim=1)

    def _attend(self, rows_of: _Group, query: "torch.Tensor", layer: int, window: int | None, softcap: float | None) -> "torch.Tensor":
        import torch

        lead_key, lead_value = self._lead[layer]
        own_key, own_value = (x[:, :, : rows_of.seen].index_select(1, rows_of.slots) for x in self._own[layer])
        (heads, _, size), kinds, (rows, width) = query.shape, len(own_key), rows_of.columns.shape
        group, lead = heads // kinds, self.lead
        cells = query.index_select(1, rows_of.spread).view(kinds, group, rows, width, size).transpose(1, 2)
        cells = cells.reshape(kinds, rows, group * width, size)
        before = cells.reshape(kinds, rows * group * width, size) @ lead_key.transpose(1, 2)
        scores = torch.cat([before.view(kinds, rows, group * width, lead), cells @ own_key.transpose(2, 3)], dim=-1)
        scores = scores.view(kinds, rows, group, width, -1)
        scores = scores if softcap is None else softcap * (scores.float() / softcap).tanh()
        weights = (scores + self._hidden(rows_of, window)).softmax(dim=-1).to(own_value.dtype).view(kinds, rows, group * width, -1)
        mixed = (weights[..., :lead].reshape(kinds, rows * group * width, lead) @ lead_value).view(kinds, rows, group * width, -1)
        mixed = (mixed + weights[..., lead:] @ own_value).view(kinds, rows, group, width, -1)
        return mixed.transpose(1, 2).reshape(heads, rows * width, -1).index_select(1, rows_of.gather)

    @property
    def _device(self) -> "torch.device":
        return self._lead[0][0].device

    def _store(self, layer: int, key: "torch.Tensor", value: "torch.Tensor") -> None:
        if self._places is None:
            raise RuntimeError("a forward pass came that nobody had announced")
        for own, new in zip(self._own[layer], (key, value), strict=True):
            own.view(len(own), -1, own.shape[-1]).index_copy_(1, self._places, new)

    def _hidden(self, rows_of: _Group, window: int | None) -> "torch.Tensor":
        """Minus infinity for what a query does not see, in fp32, shape (rows, 1, width, lead + seen); for all layers with this window.

        Added and not filled in: that takes a tenth of the time.
        """
        import torch

        if window not in rows_of.hidden:
            position = self.lead + rows_of.columns[:, None, :, None]
            key = torch.arange(self.lead + rows_of.seen, device=position.device)
            hidden = (key > position) if window is None else (key > position) | (position - key >= window)
            rows_of.hidden[window] = torch.zeros(hidden.shape, device=position.device).masked_fill(hidden, float("-inf"))
        return rows_of.hidden[window]


def _parts(counts: Sequence[int], start: int = 0) -> list[slice]:
    """Cuts rows in groups, so that few cells are empty."""
    whole = max(counts) * len(counts)
    cells = {cut: max(counts[:cut]) * cut + max(counts[cut:]) * (len(counts) - cut) for cut in range(1, len(counts))}
    cut = min(cells, key=cells.__getitem__, default=0)
    if not cut or whole - cells[cut] < _WORTH_A_GROUP:
        return [slice(start, start + len(counts))]
    return [*_parts(counts[:cut], start), *_parts(counts[cut:], start + cut)]
