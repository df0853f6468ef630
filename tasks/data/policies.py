"""What happens to rows that checks found fault with: nothing, a count, quarantine, or an error."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from pipeline_config.data import ChecksConfig, Policy, SensitiveConfig
from pipeline_config.errors import DataError

SHOWS = pl.Schema({"row_id": pl.String(), "code": pl.String()})
"""That a row shows something, once or more often."""

EXAMPLES = 3
"""Rows that are named for each code."""


class Tally(NamedTuple):
    """How many rows show something, and the smallest ids among them, at most :data:`EXAMPLES`."""

    rows: int
    examples: tuple[str, ...]


class Applied(NamedTuple):
    """`faults` (`tasks.data.quarantine.FAULTS`) take rows out; `reported` has `row_id` and `code` of what is only to be counted."""

    faults: pl.DataFrame
    reported: pl.DataFrame


def policies_of(checks: ChecksConfig) -> dict[str, Policy]:
    """The policy for the code of each check that has one."""
    return {
        "WRONG_LANGUAGE": checks.wrong_language,
        "BROKEN_ENCODING": checks.broken_encoding,
        "CONTROL_TOKENS": checks.control_tokens,
        "REFUSAL": checks.refusal,
    }


def apply_policies(faults: pl.DataFrame, table: pl.DataFrame, policies: Mapping[str, Policy]) -> Applied:
    """Divides faults by the policy for their code. A row that is taken out is not reported.

    Args:
        faults: columns of `tasks.data.quarantine.FAULTS`; a row may have several.
        table: the rows that were looked at, with `row_id`, `file` and `line`.
        policies: by code. Codes that are not in it are quarantined: such rows are no chats, and nobody may choose to keep them.

    Raises:
        DataError: a row has a fault whose policy is `fail`.
    """
    parts = {policy: _under(faults, policies, policy) for policy in ("fail", "report")}
    if not parts["fail"].is_empty():
        raise _refusal(parts["fail"], table)
    taken = faults.filter(~pl.col("code").is_in([code for code, policy in policies.items() if policy != "quarantine"]))
    return Applied(taken, parts["report"].join(taken, on="row_id", how="anti").select(*SHOWS))


def tally(faults: pl.DataFrame) -> dict[str, Tally]:
    """Counts rows by code (columns `row_id` and `code`), in the order of the codes."""
    ids = pl.col("row_id").unique()
    counted = faults.group_by("code").agg(rows=ids.len(), examples=ids.sort().head(EXAMPLES)).sort("code")
    return {code: Tally(rows, tuple(examples)) for code, rows, examples in counted.iter_rows()}


def add_up(tallies: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    """One tally of several shards', whose rows differ."""
    together: defaultdict[str, list[Tally]] = defaultdict(list)
    for tallied in tallies:
        for code, part in tallied.items():
            together[code].append(part)
    return {
        code: Tally(sum(part.rows for part in parts), tuple(sorted(row_id for part in parts for row_id in part.examples)[:EXAMPLES]))
        for code, parts in sorted(together.items())
    }


def _under(faults: pl.DataFrame, policies: Mapping[str, Policy], wanted: Policy) -> pl.DataFrame:
    return faults.filter(pl.col("code").is_in([code for code, policy in policies.items() if policy == wanted]))


def _refusal(faults: pl.DataFrame, table: pl.DataFrame) -> DataError:
    places = table.select("row_id", "file", "line").with_row_index("place")
    first = faults.join(places, on="row_id").sort("place", "code", "reason").row(0, named=True)
    counts = ", ".join(f"{code} {count.rows}" for code, count in tally(faults).items())
    rows = faults["row_id"].n_unique()
    return DataError(
        f"{rows} of {table.height} rows looked at hold what must not be there ({counts}); the first: {first['reason']}",
        where=f"{first['file']}, line {first['line']}",
        expected=f"none, as {_setting(first['code'])} is `fail`", hint="correct or remove them in the source, or choose `quarantine`",
    )  # fmt: skip


def _setting(code: str) -> str:
    name = code.lower()
    if name == "presidio":
        return "data.sensitive.presidio.policy"
    return f"data.sensitive.{name}" if name in SensitiveConfig.model_fields else f"data.checks.{name}"
