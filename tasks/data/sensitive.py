"""Personal data and secrets in rows: what is taken out, what stops the run, and what is only counted."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipeline_config.data import SensitiveConfig
from pipeline_config.errors import DataError
from tasks.data.quarantine import faults_of
from tasks.files import read_json, write_json
from tasks.screening import KINDS, Kind, find_sensitive

_FIELDS = ("instruction", "input", "output")
_REPORT = "sensitive.json"
_NAMES: dict[Kind, str] = {
    "secret": "a secret", "card": "a card number", "iban": "an IBAN", "national_id": "a national identifier", "ip": "an IP address",
    "email": "an e-mail address", "phone": "a phone number",
}  # fmt: skip


def find_sensitive_rows(table: pl.DataFrame, policies: SensitiveConfig, folder: Path) -> pl.DataFrame:
    """Looks through all texts of the canonical table, and writes how many rows hold each kind that is only reported.

    Returns:
        Row id, code (the kind in capitals) and reason of each row to be taken out (`tasks.data.quarantine.FAULTS`).

    Raises:
        DataError: a row holds a kind whose policy is `fail`.
    """
    policy: Mapping[str, str] = policies.model_dump()
    kinds = [kind for kind in KINDS if policy[kind] != "ignore"]
    places = pl.concat([find_sensitive(table[field], kinds).select("row", "kind", field=pl.lit(field)) for field in _FIELDS]).unique()
    _refuse(places.filter(pl.col("kind").is_in([kind for kind in kinds if policy[kind] == "fail"])), table)
    counted = places.unique(["row", "kind"]).group_by("kind").len()
    write_json(folder / _REPORT, {kind: count for kind, count in sorted(counted.iter_rows()) if policy[kind] == "report"})
    taken = places.filter(pl.col("kind").is_in([kind for kind in kinds if policy[kind] == "quarantine"])).sort("row", "kind", "field")
    ids = table["row_id"]
    return faults_of([(ids[row], kind.upper(), f"{field} holds {_NAMES[kind]}") for row, kind, field in taken.iter_rows()])


def reported_kinds(folder: Path) -> dict[str, int]:
    """Number of rows that hold each kind which is reported and kept."""
    return {str(kind): int(count) for kind, count in read_json(folder / _REPORT).items()}


def _refuse(places: pl.DataFrame, table: pl.DataFrame) -> None:
    if places.is_empty():
        return
    row, kind, field = places.sort("row", "kind", "field").row(0)
    file, line = table.row(row, named=True)["file"], table.row(row, named=True)["line"]
    raise DataError(
        f"{places['row'].n_unique()} rows hold what must not be there; the first: {field} holds {_NAMES[kind]}",
        where=f"{file}, line {line}",
        expected=f"none, as data.sensitive.{kind} is `fail`", hint="remove it from the source, or choose `quarantine`",
    )  # fmt: skip
