"""The pandera schema of the canonical table, and the faults it finds. The only file that knows pandera."""

from collections.abc import Callable

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors

from pipeline_config.errors import DataError
from tasks.data.quarantine import faults_of

_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]"
"""C0 without tab and line ends, DEL, and C1."""
_NO_CHAT = "NO_CHAT"
"""Name of the check whose code and reason stand in the row."""
_REASONS = {
    "CONTROL_CHARACTERS": "{column} holds a control character",
    "EMPTY_OUTPUT": "output is empty",
    "EMPTY_INPUT": "there is nothing to work on: input is empty",
}


def find_faults(table: pl.DataFrame, *, one_instruction: bool) -> pl.DataFrame:
    """Checks each row of the canonical table.

    A row without an input is fit if it has an instruction of its own; an instruction that all rows share asks nothing alone.

    Args:
        one_instruction: all rows, also those of other shards, share one instruction or have none.

    Returns:
        Row id, code and reason of each fault (`tasks.data.quarantine.FAULTS`).

    Raises:
        DataError: the table itself is not canonical.
    """
    schema = _schema(input_required=one_instruction)
    try:
        # Whatever the environment says about pandera, and on an eager frame: a lazy one would pass unread.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(table, lazy=True)
    except SchemaErrors as error:
        return _faults(table, error.failure_cases)
    return faults_of([])


def _schema(*, input_required: bool) -> pa.DataFrameSchema:
    has_fields = pl.col("fault").is_null() | (pl.col("fault") == "NOT_TEXT")
    silent = has_fields & pl.col("input").is_null()
    silent = silent if input_required else silent & pl.col("instruction").is_null()
    clean = pa.Check(_is_clean, name="CONTROL_CHARACTERS", ignore_na=False)
    checks = {
        "instruction": [clean],
        "input": [clean],
        "output": [clean, _check("EMPTY_OUTPUT", lambda column: pl.col(column).is_not_null() | ~has_fields)],
        "turns": [],
        "fault": [_check(_NO_CHAT, lambda column: pl.col(column).is_null())],
    }
    texts = {name: pa.Column(pl.String, nullable=True, checks=own) for name, own in checks.items()}
    return pa.DataFrameSchema(
        {
            "row_id": pa.Column(pl.String, unique=True),
            "file": pa.Column(pl.String),
            "line": pa.Column(pl.Int64, pa.Check.ge(1)),
            **texts,
        },
        # pandera hands null to a check as "passed" unless told otherwise.
        checks=pa.Check(lambda data: data.lazyframe.select(~silent), name="EMPTY_INPUT", ignore_na=False),
    )


def _check(code: str, holds: Callable[[str], pl.Expr]) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(holds(data.key)), name=code, ignore_na=False)


def _is_clean(data: pa.PolarsData) -> pl.LazyFrame:
    """In two halves, which Polars looks through at once: it would not divide one expression."""
    table: pl.LazyFrame = data.lazyframe
    half = table.select(pl.len()).collect().item() // 2
    clean = ~pl.col(data.key).fill_null("").str.contains(_CONTROL)
    return pl.concat([part.select(clean) for part in (table.slice(0, half), table.slice(half))])


def _faults(table: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """pandera's failure cases hold raw values; only their place and check are read."""
    ids, own_faults, own_reasons = table["row_id"], table["fault"], table["fault_reason"]
    faults: set[tuple[str, str, str]] = set()
    for column, check, index in cases.select("column", "check", "index").iter_rows():
        if index is None or check not in (_NO_CHAT, *_REASONS):
            raise DataError(f"the table is not canonical: {check} of {column or 'the table'} fails", expected="what `Source` reads")
        own = (own_faults[index], own_reasons[index])
        faults.add((ids[index], *(own if check == _NO_CHAT else (check, _REASONS[check].format(column=column)))))
    return faults_of(sorted(faults))
