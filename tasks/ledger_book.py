"""Port: where the ledger's entries are kept. It keeps rows and their order; what they mean and prove is the ledger's own business."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Row = dict[str, Any]
"""An entry by its columns."""

LAST = "SELECT * FROM entries ORDER BY seq DESC LIMIT 1"


class Book(Protocol):
    """Rows of a table `entries` that can be added to, and never be changed or taken away. Every method raises LedgerError when it fails.

    `where` is what messages call it; it holds no password.
    """

    where: str

    def select(self, query: str, values: Sequence[str] = ()) -> list[Row]:
        """What a query finds at one moment. `?` stands for a value; nothing else in the query may differ between databases."""
        ...

    def add(self, compose: Callable[[Row | None], Row]) -> None:
        """Adds one row, durably, while nobody else can add one.

        Args:
            compose: gets the last row, null if there is none, and gives the new one; what it raises leaves everything as it was.
        """
        ...


def insertion(row: Row, mark: str = "?") -> str:
    """The statement that adds a row's values, in their order."""
    return f"INSERT INTO entries ({', '.join(row)}) VALUES ({', '.join([mark] * len(row))})"
