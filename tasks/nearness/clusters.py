"""Which rows hang together through pairs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def clusters(pairs: pl.DataFrame, rows: int) -> pl.Series:
    """The connected components of the graph whose edges are the pairs.

    Being near is not transitive: two rows of a cluster may be far apart, with a chain of near rows between them.

    Args:
        pairs: row numbers `left` and `right`, as of `tasks.nearness.near.near_pairs`; other columns are ignored.
        rows: how many rows there are.

    Returns:
        For each row the smallest row number of its component; a row without a pair is a component of its own.

    Raises:
        ValueError: a row number is not in [0, `rows`).
    """
    return pl.Series("cluster", components(pairs["left"].to_numpy(), pairs["right"].to_numpy(), rows), dtype=pl.Int64)


def components(left: NDArray[np.int64], right: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """The same for arrays of equal length: the smallest row number of each row's component, of shape (rows,)."""
    edges = np.concatenate([left, right])
    if edges.size and not 0 <= edges.min() <= edges.max() < rows:
        raise ValueError(f"row numbers from {edges.min()} to {edges.max()}, but there are {rows} rows")
    if not edges.size:
        return np.arange(rows, dtype=np.int64)
    count, labels = connected_components(coo_array((np.ones(left.size, dtype=bool), (left, right)), shape=(rows, rows)), directed=False)
    first = np.full(count, rows, dtype=np.int64)
    np.minimum.at(first, labels, np.arange(rows, dtype=np.int64))
    return np.asarray(first[labels])
