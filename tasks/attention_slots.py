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


@dataclass(frozen=True)
class NewTokens:
    """Where the new tokens of one row go: into its slot, from the column `start` on."""

    slot: int
    start: int
    count: int


@dataclass(frozen=True)
class Beginning:
    """The first `count` columns of one slot, which are to be those of another too."""

    source: int
    slot: int
    count: int


@dataclass(frozen=True)
class _Group:
    """Neighbouring rows that are spread to cells of equal width for the matrix products, and gathered again.

    Attributes:
        slots: of each row, shape (rows,).
        tokens: of each cell the pass's token, shape (rows, width). Cells without one are like the row's last; nobody looks at them.
        columns: of each cell, shape (rows, width).
        cells: for each token of the group its cell.
        seen: columns that hold anything at all.
    """

    slots: "torch.Tensor"
    tokens: "torch.Tensor"
    columns: "torch.Tensor"
    cells: "torch.Tensor"
    seen: int


@dataclass(frozen=True)
class _Lines:
    """Where a group's vectors are in a layer whose `heads` share keys of so many `kinds`, as lines of two-dimensional tensors.

    One gathering of lines does what would take a selection and a copy into another order.

    Attributes:
        heads: of the layer; so are `kinds`.
        queries: of each cell, in the order (kinds, rows, heads of a kind, width), among (tokens, heads).
        keys: of each column, in the order (kinds, rows, seen), among (kinds, slots, columns).
        answers: of each token and head, among the cells in the order of `queries`.
        hidden: by window, see :meth:`Slots._hidden`.
    """

    heads: int
    kinds: int
    queries: "torch.Tensor"
    keys: "torch.Tensor"
    answers: "torch.Tensor"
    hidden: "dict[int | None, tuple[torch.Tensor | None, torch.Tensor]]" = field(default_factory=dict)


class Slots:
    """What `tasks.attention` asks in a model's layers, see the module."""

    def __init__(self, lead: "Sequence[tuple[torch.Tensor, torch.Tensor]]", count: int, columns: int) -> None:
        """Makes empty slots.

        Args:
            lead: keys and values of each layer, shape (kinds, tokens, size).
            count: how many rows there may be at a time.
            columns: tokens that a row may have behind the lead.
        """
        self._lead, self._count, self._columns = lead, count, columns
        # Zeros: a weight of zero times what happens to lie in memory need not be zero.
        self._own = [tuple(x.new_zeros(len(x), count, columns, x.shape[-1]) for x in layer) for layer in lead]
        self._places: torch.Tensor | None = None
        self._groups: list[_Group] = []
        self._lines: dict[tuple[int, int], list[_Lines]] = {}

    @property
    def lead(self) -> int:
        """Tokens that all rows begin with, virtual ones included."""
        return self._lead[0][0].shape[1]

    def copy(self, beginnings: Sequence[Beginning]) -> None:
        """Puts what slots hold now into others. All are read before any is written."""
        import torch

        if not beginnings:
            return
        sources, targets = (
            torch.tensor([slot * self._columns + column for slot, count in places for column in range(count)], device=self._device)
            for places in ([(each.source, each.count) for each in beginnings], [(each.slot, each.count) for each in beginnings])
        )
        for own in (x for layer in self._own for x in layer):
            cells = own.view(len(own), -1, own.shape[-1])
            cells.index_copy_(1, targets, cells.index_select(1, sources))

    def expect(self, rows: Sequence[NewTokens]) -> None:
        """Says what the next forward pass brings: the new tokens of these rows, one row after the other; best in order of their number."""
        import torch

        places = [row.slot * self._columns + column for row in rows for column in range(row.start, row.start + row.count)]
        self._places = torch.tensor(places, device=self._device)
        self._groups, self._lines, first = [], {}, 0
        for part in _parts([row.count for row in rows]):
            self._groups.append(self._group(rows[part], first))
            first += len(self._groups[-1].cells)

    def _group(self, rows: Sequence[NewTokens], first: int) -> _Group:
        import torch

        counts, starts, slots = (torch.tensor([getattr(row, name) for row in rows]) for name in ("count", "start", "slot"))
        steps = torch.arange(int(counts.max()))
        inside = torch.minimum(steps, counts[:, None] - 1)
        return _Group(
            slots=slots.to(self._device),
            tokens=(first + (counts.cumsum(0) - counts)[:, None] + inside).to(self._device),
            columns=(starts[:, None] + inside).to(self._device),
            cells=(steps < counts[:, None]).flatten().nonzero()[:, 0].to(self._device),
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
            Shape (tokens, heads, size).
        """
        import torch

        self._store(layer, key, value)
        queries = query.transpose(0, 1).reshape(-1, query.shape[-1])  # no copy: a projection's result lies in this order
        kind = (len(query), len(key))
        if kind not in self._lines:
            self._lines[kind] = [self._lines_of(group, *kind) for group in self._groups]
        parts = [self._attend(*group, queries, layer, window, softcap) for group in zip(self._groups, self._lines[kind], strict=True)]
        return torch.cat(parts).view(query.shape[1], len(query), -1)

    def _lines_of(self, group: _Group, heads: int, kinds: int) -> _Lines:
        import torch

        (rows, width), each = group.tokens.shape, heads // kinds
        numbers = torch.arange(kinds * rows * each * width, device=self._device).view(kinds, rows, each, width)
        head = torch.arange(heads, device=self._device).view(kinds, 1, each, 1)
        cells = numbers.permute(1, 3, 0, 2).reshape(rows * width, heads)
        kind, column = (torch.arange(count, device=self._device) for count in (kinds, group.seen))
        return _Lines(
            heads=heads,
            kinds=kinds,
            queries=(group.tokens[:, None] * heads + head).flatten(),
            keys=((kind[:, None, None] * self._count + group.slots[:, None]) * self._columns + column).flatten(),
            answers=cells[group.cells].flatten(),
        )  # fmt: skip

    def _attend(
        self, group: _Group, lines: _Lines, queries: "torch.Tensor", layer: int, window: int | None, softcap: float | None
    ) -> "torch.Tensor":
        """Lines of (tokens of the group, heads)."""
        import torch

        lead_key, lead_value = self._lead[layer]
        kinds, rows, lead, size = lines.kinds, len(group.slots), self.lead, queries.shape[-1]
        key, value = (x.view(-1, x.shape[-1]).index_select(0, lines.keys).view(kinds * rows, group.seen, -1) for x in self._own[layer])
        cells = queries.index_select(0, lines.queries)
        hidden_lead, hidden_own = self._hidden(group, lines, window, queries.dtype)
        before = _scores(cells.view(kinds, -1, size), lead_key, hidden_lead, softcap)
        own = _scores(cells.view(kinds * rows, -1, size), key, hidden_own, softcap)
        scores = torch.cat([before, own.view(kinds, -1, group.seen)], dim=-1)
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
        mixed = (weights[..., :lead] @ lead_value).view(kinds * rows, -1, value.shape[-1])
        mixed = torch.baddbmm(mixed, weights.view(kinds * rows, -1, lead + group.seen)[..., lead:], value)
        return mixed.view(-1, value.shape[-1]).index_select(0, lines.answers)

    @property
    def _device(self) -> "torch.device":
        return self._lead[0][0].device

    def _store(self, layer: int, key: "torch.Tensor", value: "torch.Tensor") -> None:
        if self._places is None:
            raise RuntimeError("a forward pass came that nobody had announced")
        for own, new in zip(self._own[layer], (key, value), strict=True):
            own.view(len(own), -1, own.shape[-1]).index_copy_(1, self._places, new)

    def _hidden(self, group: _Group, lines: _Lines, window: int | None, dtype: "torch.dtype") -> "tuple[torch.Tensor | None, torch.Tensor]":
        """Minus infinity for what a query does not see, in the shapes of the scores; for all layers with this window.

        Added with the product and not filled in. Null for the lead if all of it is seen.
        """
        import torch

        if window not in lines.hidden:
            (rows, width), kinds = group.columns.shape, lines.kinds
            position = self.lead + group.columns[:, :, None]
            key = torch.arange(self.lead + group.seen, device=position.device)
            hidden = (key > position) if window is None else (key > position) | (position - key >= window)
            numbers = torch.zeros(hidden.shape, dtype=dtype, device=position.device).masked_fill(hidden, float("-inf"))
            numbers = numbers[None, :, None].expand(kinds, rows, lines.heads // kinds, width, -1)
            before, own = numbers[..., : self.lead], numbers[..., self.lead :]
            seen = not bool(hidden[..., : self.lead].any())
            lines.hidden[window] = (
                None if seen else before.reshape(kinds, -1, self.lead),
                own.reshape(kinds * rows, -1, group.seen),
            )  # fmt: skip
        return lines.hidden[window]


def _scores(cells: "torch.Tensor", keys: "torch.Tensor", hidden: "torch.Tensor | None", softcap: float | None) -> "torch.Tensor":
    """Of queries (batch, cells, size) and keys (batch, seen, size); `softcap` c makes a score s into c tanh(s / c) (Gemma 2)."""
    import torch

    if softcap is None:
        return cells @ keys.transpose(1, 2) if hidden is None else torch.baddbmm(hidden, cells, keys.transpose(1, 2))
    capped = softcap * ((cells @ keys.transpose(1, 2)).float() / softcap).tanh()
    return capped if hidden is None else capped + hidden


def bytes_of_column(lead: "Sequence[tuple[torch.Tensor, torch.Tensor]]") -> int:
    """What the keys and values of one token take in all layers."""
    return sum(len(x) * x.shape[-1] * x.element_size() for layer in lead for x in layer)


def _parts(counts: Sequence[int], start: int = 0) -> list[slice]:
    """Cuts rows in groups, so that few cells are empty."""
    whole = max(counts) * len(counts)
    cells = {cut: max(counts[:cut]) * cut + max(counts[cut:]) * (len(counts) - cut) for cut in range(1, len(counts))}
    cut = min(cells, key=cells.__getitem__, default=0)
    if not cut or whole - cells[cut] < _WORTH_A_GROUP:
        return [slice(start, start + len(counts))]
    return [*_parts(counts[:cut], start), *_parts(counts[cut:], start + cut)]
