"""By what test rows are divided, so that a part that fares badly does not hide in a good average."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipeline_config.errors import EvaluationError
from pipeline_config.evaluation import SLICES
from tasks.languages import detect_languages
from tasks.rows import TEST_COLUMNS, Row, prompt_of

_UNKNOWN = "unknown"


def slice_columns(
    wanted: Sequence[str] | None, rows: Sequence[Row], expected: Sequence[str], *, labelled: bool, folder: Path
) -> pl.DataFrame:
    """A column `slice.<name>` for each way to divide the rows; null where a row belongs to no part.

    `label` there is only where answers are labels. `length` is the third of the rows that the last turn before the answer falls into by its
    characters; turns of one length are in one third. `language` is told from that turn. `source` is the file that a row came from.

    Args:
        wanted: names; null: all that there are.
        folder: of the prepared rows, where the columns of their source lie.

    Raises:
        EvaluationError: a name is neither one of these nor a column that was kept.
    """
    kept = _kept(folder, rows)
    asked = [prompt_of(row)[-1]["content"] for row in rows]
    columns: dict[str, Sequence[str | None]] = {
        **({"label": [text.strip() for text in expected]} if labelled else {}),
        "length": thirds([len(text) for text in asked]),
        **({"language": [code or _UNKNOWN for code in detect_languages(asked)]} if wanted is None or "language" in wanted else {}),
        **kept,
    }
    names = [*columns] if wanted is None else [name for name in wanted if name in columns or name not in SLICES]
    if unknown := [name for name in names if name not in columns]:
        raise EvaluationError(
            f"the test rows cannot be divided by {', '.join(unknown)}", where="evaluation.slices", expected=f"some of {', '.join(columns)}",
            hint="columns of the source are kept if data.source.slice_columns names them",
        )  # fmt: skip
    return pl.DataFrame({f"slice.{name}": pl.Series(columns[name], dtype=pl.String) for name in names})


def thirds(lengths: Sequence[int]) -> list[str]:
    """`short`, `middle` or `long` for each: at most the value that a third, or two thirds, do not exceed. Equal lengths fare alike."""
    ordered = sorted(lengths)
    bounds = [ordered[(len(ordered) * part - 1) // 3] for part in (1, 2)] if ordered else []
    return ["short" if length <= bounds[0] else "middle" if length <= bounds[1] else "long" for length in lengths]


def _kept(folder: Path, rows: Sequence[Row]) -> dict[str, list[str | None]]:
    path = folder / TEST_COLUMNS
    if not path.is_file():
        return {}
    ids = pl.DataFrame({"row_id": [row["row_id"] for row in rows]}, schema={"row_id": pl.String})
    table = ids.join(pl.read_parquet(path), on="row_id", how="left", maintain_order="left").drop("row_id")
    return {name: table[name].to_list() for name in table.columns}
