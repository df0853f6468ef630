"""Where the rows come from, which columns hold what, and how they are split."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline_config.base import Section


class ColumnMapping(Section):
    """Names of the source's columns. Only `output` has to exist in every source."""

    instruction: str | None = Field("instruction", description="column with the task; null when `source.instruction` is constant")
    input: str | None = Field("input", description="column with the text to work on; null when there is none")
    output: str = Field("output", description="column with the expected answer (the label)")


class SourceConfig(Section):
    """JSONL, JSON, CSV, TSV (as .gz or .zst, too) or Parquet: a file, a folder or a glob; optionally others that are the test set."""

    path: Path = Field(description="training rows; relative paths start at the file that names them")
    test_path: Path | None = Field(None, description="test files of their own; without them the test rows are split off")
    columns: ColumnMapping = ColumnMapping()
    instruction: str | None = Field(None, min_length=1, description="a constant instruction for every row")
    labels: tuple[str, ...] = Field((), description="keep only rows with these outputs; empty keeps all")


class SplitConfig(Section):
    """How rows are divided. A row's side is a keyed hash of its group, so it does not move when rows are added."""

    test_fraction: float = Field(0.4, gt=0, lt=1, description="share of groups held out; unused with `source.test_path`")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="share of the remaining groups used for early stopping")
    group_column: str | None = Field(None, description="rows with equal values here stay on one side; default: equal text")
    near_jaccard: float | None = Field(
        0.65, gt=0, le=1,
        description="training rows whose text is this similar to a held-out row's are taken out; null: only those that say the same",
    )  # fmt: skip
    key: str = Field(
        "tunegate", min_length=1, description="key of the hash; not the training seed, so that runs with other seeds share a test set"
    )


Policy = Literal["ignore", "report", "quarantine", "fail"]


class SensitiveConfig(Section):
    """What to do with a row that holds personal data or a secret: nothing, count it, take it out, or refuse the data."""

    secret: Policy = Field("quarantine", description="keys, tokens and passwords")
    card: Policy = Field("quarantine", description="payment cards, by Luhn's check and issuer")
    iban: Policy = Field("quarantine", description="bank accounts, by their check digits")
    national_id: Policy = Field("quarantine", description="tax, social security and identity numbers")
    email: Policy = Field("report")
    phone: Policy = Field("report")
    ip: Policy = Field("report")


class DataConfig(Section):
    """Preparation: source, checks, split and sizes."""

    source: SourceConfig
    split: SplitConfig = SplitConfig()
    sensitive: SensitiveConfig = SensitiveConfig()
    max_bad_fraction: float = Field(0.1, ge=0, lt=1, description="stop when a larger share of rows is quarantined")
    max_train_rows: int | None = Field(
        None, ge=1, description="keep at most this many training rows, balanced over labels, and validation rows in proportion"
    )
    max_test_rows: int | None = Field(None, ge=1, description="keep at most this many test rows, balanced over labels")
