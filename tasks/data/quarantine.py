"""Rows that are not used, each with a code and a reason. Reasons never hold a value of the row: it may be confidential."""

from pathlib import Path

import polars as pl

from pipeline_config.errors import DataError

CODES = (
    "UNREADABLE_LINE", "NOT_TEXT", "NO_TURNS", "UNKNOWN_ROLE", "ROLES", "EMPTY_TURN", "EMPTY_OUTPUT", "EMPTY_INPUT",
    "CONTROL_CHARACTERS", "BROKEN_ENCODING", "CONTROL_TOKENS", "SECRET", "CARD", "IBAN", "NATIONAL_ID", "IP", "EMAIL", "PHONE",
    "PRESIDIO", "WRONG_LANGUAGE", "REFUSAL", "TOO_LONG", "LEAK_EXACT", "LEAK_GROUP", "LEAK_NEAR", "LEAK_BENCHMARK",
)  # fmt: skip
"""In the order of precedence: a row with several faults has the code of the first, and the reasons of all."""

FAULTS = pl.Schema({"row_id": pl.String(), "code": pl.String(), "reason": pl.String()})
QUARANTINE = pl.Schema({"row_id": pl.String(), "file": pl.String(), "line": pl.Int64(), "code": pl.String(), "reason": pl.String()})
"""Columns of `quarantine.parquet`; `file` and `line` are the row's place in its source."""

SHOWN = pl.Schema({"row_id": pl.String(), "file": pl.String(), "line": pl.Int64(), "code": pl.String(), "text": pl.String()})

EXAMPLES = 3
"""Rows of each code that are shown."""

_TEXTS = ("input", "instruction", "normal")
_FILE = "quarantine.parquet"


def quarantine_path(folder: Path) -> Path:
    """Where a preparation's quarantined rows are."""
    return folder / _FILE


def count_by_code(folder: Path) -> dict[str, int]:
    """Number of quarantined rows for each code that occurs, most frequent first."""
    return _count(pl.read_parquet(quarantine_path(folder)))


def faults_of(faults: list[tuple[str, str, str]]) -> pl.DataFrame:
    """A table of faults from (row id, code, reason)."""
    return pl.DataFrame(faults, schema=FAULTS, orient="row")


class Quarantine:
    """Collects the rows that are taken out, and stops the run when they are too many.

    Args:
        folder: `quarantine.parquet` is written here.
        limit: largest share of the rows that may be taken out.
    """

    def __init__(self, folder: Path, *, limit: float) -> None:
        self._folder, self._limit = folder, limit
        self._taken = pl.DataFrame(schema=QUARANTINE)
        self._shown = pl.DataFrame(schema=SHOWN)

    def __len__(self) -> int:
        return self._taken.height

    def take(self, table: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
        """Takes the rows with faults out.

        Args:
            table: rows with `row_id`, `file` and `line`.
            faults: columns of :data:`FAULTS`; a row may have several.

        Returns:
            The rows without a fault, in the same order.
        """
        ranked = faults.with_columns(
            rank=pl.col("code").replace_strict({code: rank for rank, code in enumerate(CODES)}, return_dtype=pl.Int64)
        )
        first = pl.col("code").sort_by("rank", "reason").first()
        reasons = pl.col("reason").sort_by("rank", "reason").str.join("; ")
        whole = ranked.group_by("row_id").agg(code=first, reason=reasons)
        taken = table.join(whole, on="row_id", how="inner", maintain_order="left").select(*QUARANTINE).cast(QUARANTINE)
        self._taken = pl.concat([self._taken, taken])
        # Of the texts only a few are kept: they may be confidential, and there may be many.
        text = pl.coalesce(*(pl.col(name) for name in _TEXTS if name in table.columns), pl.lit(""))
        shown = taken.join(table.select("row_id", text=text), on="row_id")
        few = pl.concat([self._shown, shown.select(*SHOWN)]).sort("row_id").group_by("code", maintain_order=True).head(EXAMPLES)
        self._shown = few.select(*SHOWN)
        return table.join(whole, on="row_id", how="anti", maintain_order="left")

    def count_by_code(self) -> dict[str, int]:
        """Number of rows for each code that occurs, most frequent first."""
        return _count(self._taken)

    def examples(self) -> pl.DataFrame:
        """Columns of :data:`SHOWN`: for each code the rows with the smallest ids, with their texts as they are."""
        return self._shown.sort("code", "row_id")

    def close(self, rows: int) -> None:
        """Writes the file, and judges what is in it.

        Args:
            rows: how many were considered.

        Raises:
            DataError: more than the permitted share was taken out, or every row.
        """
        path = quarantine_path(self._folder)
        self._taken.write_parquet(path)
        # A row that says what a held-out row says is no bad row, only one too many.
        bad = self._taken.filter(~pl.col("code").str.starts_with("LEAK_"))
        share = bad.height / rows
        if share <= self._limit:
            return
        by_code = ", ".join(f"{code} {count}" for code, count in _count(bad).items())
        first = bad.row(0, named=True)
        left = "no rows left after validation: " if bad.height == rows else ""
        raise DataError(
            f"{left}{bad.height} of {rows} rows were quarantined ({by_code}); the first is {first['file']}, line {first['line']}: "
            f"{first['reason']}",
            where=str(path),
            expected=f"at most {self._limit:.1%} of the rows (data.max_bad_fraction)",
            hint="each row's code and reason are in that file; repair the source, or raise the limit if they may be left out",
        )


def _count(quarantined: pl.DataFrame) -> dict[str, int]:
    counted = quarantined.group_by("code").len().sort(["len", "code"], descending=[True, False])
    return dict(counted.iter_rows())
