"""Token sequences by their beginnings: which answers are allowed, and which are likely to be given again."""

from collections.abc import Iterable, Sequence


class AnswerTree:
    """All sequences that begin alike, one node for each beginning."""

    def __init__(self, sequences: Iterable[Sequence[int]] = ()) -> None:
        self.children: dict[int, AnswerTree] = {}
        self.count = 0
        for sequence in sequences:
            self.add(sequence)

    def add(self, sequence: Sequence[int]) -> None:
        """Counts a sequence that goes on from here."""
        node = self
        node.count += 1
        for token in sequence:
            node = node.children.setdefault(token, AnswerTree())
            node.count += 1

    def find(self, beginning: Sequence[int]) -> "AnswerTree | None":
        """The node behind a beginning; null if no sequence begins so."""
        node: AnswerTree | None = self
        for token in beginning:
            if node is None:
                return None
            node = node.children.get(token)
        return node

    def likely(self) -> list[int]:
        """How at least half of all sequences go on from here."""
        node, tokens = self, []
        while node.children:
            token, node = max(node.children.items(), key=lambda child: child[1].count)
            if 2 * node.count < self.count:
                break
            tokens.append(token)
        return tokens

    def forced(self) -> list[int]:
        """How every sequence goes on from here."""
        node, tokens = self, []
        while len(node.children) == 1:
            [(token, node)] = node.children.items()
            tokens.append(token)
        return tokens

    def depth(self) -> int:
        """Tokens of the longest sequence."""
        return max((1 + child.depth() for child in self.children.values()), default=0)
