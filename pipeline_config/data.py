"""Where the rows come from, which columns hold what, what is checked, and how they are split."""

import os
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline_config.base import Section
from pipeline_config.evaluation import SLICES


def _as_location(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Location = Annotated[str, BeforeValidator(_as_location)]
"""A path, a glob, any fsspec URL of these, or `hf:NAME[@REVISION][:SPLIT]`. Relative paths start at the file that names them."""

Format = Literal["instruction", "chat", "prompt_completion", "sharegpt", "columns"]
"""How records hold a chat; `columns` is any other table, read through names that the configuration gives."""


class ColumnMapping(Section):
    """Names of the source's columns. Only `output` has to exist in every source."""

    instruction: str | None = Field("instruction", description="column with the task; null when `source.instruction` is constant")
    input: str | None = Field("input", description="column with the text to work on; null when there is none")
    output: str = Field("output", description="column with the expected answer (the label)")


def _is_free(column: str) -> str:
    if column in (*SLICES, "row_id"):
        raise ValueError(f"`{column}` has a meaning already; give the column another name")
    return column


class SourceConfig(Section):
    """JSONL, JSON, CSV, TSV (as .gz or .zst, too) or Parquet: a file, a folder or a glob; optionally others that are the test set."""

    path: Location = Field(description="training rows: file, folder, glob, fsspec URL, or hf:NAME[@REVISION][:SPLIT]")
    test_path: Location | None = Field(None, description="test files of their own; without them the test rows are split off")
    format: Format | None = Field(None, description="how records hold a chat; null: detected, or `columns` where `source.columns` is given")
    columns: ColumnMapping | None = Field(None, description="names of the columns of a table")
    instruction: str | None = Field(None, min_length=1, description="a constant instruction for every row")
    labels: tuple[str, ...] = Field((), description="keep only rows with these outputs; empty keeps all")
    slice_columns: tuple[Annotated[str, AfterValidator(_is_free)], ...] = Field(
        (), description="further columns, kept beside the test rows so that figures can be divided by them (evaluation.slices)"
    )


class SplitConfig(Section):
    """How rows are divided. A row's side is a keyed hash of its group, so it does not move when rows are added."""

    test_fraction: float = Field(0.4, gt=0, lt=1, description="share of groups held out; unused with `source.test_path`")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="share of the remaining groups used for early stopping")
    group_column: str | None = Field(
        None, description="rows with equal values here stay on one side; default: rows that nearly say the same"
    )
    near_jaccard: float | None = Field(
        0.65, gt=0, le=1,
        description="rows whose texts are this similar stay on one side; null: only those that say the same",
    )  # fmt: skip
    benchmark_paths: tuple[Location, ...] = Field(
        (), description="files, as the source's, whose texts no training or validation row may repeat"
    )
    key: str = Field(
        "tunegate", min_length=1,
        description="key of the hash; another key is another division. Not the training seed: runs with other seeds share a test set",
    )  # fmt: skip


SensitiveKind = Literal["secret", "iban", "card", "national_id", "ip", "email", "phone"]
Policy = Literal["ignore", "report", "quarantine", "fail"]
SensitivePolicy = Literal["ignore", "report", "mask", "quarantine", "fail"]


def _refuse_mask(value: object) -> object:
    if value == "mask":
        raise ValueError(
            "what Presidio finds cannot be masked: the server would have to find the same in every request, and it runs without Presidio; "
            "use report, quarantine or fail"
        )
    return value


class PresidioConfig(Section):
    """What else Presidio looks for; it is an optional package (`pip install 'tunegate[presidio]'`) and looks at one text after another."""

    entities: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], ...] = Field(
        min_length=1, description="Presidio's names, such as US_SSN or MEDICAL_LICENSE"
    )
    language: str = Field("en", pattern=r"^[a-z]{2,3}$", description="ISO 639-1 code; not every entity is known in every language")
    score_threshold: float = Field(
        0.5, ge=0, le=1, description="smallest score of a finding; 0.4 adds what only the words around it speak for, such as passports"
    )
    spacy_model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_]+$",
        description="an installed spaCy model, without which names of persons and places are not found; null: none",
    )  # fmt: skip
    policy: Annotated[Literal["report", "quarantine", "fail"], BeforeValidator(_refuse_mask)] = "report"


class SensitiveConfig(Section):
    """What to do with a row that holds personal data or a secret: nothing, count it, take it out, or refuse the data.

    `mask` puts a placeholder such as <EMAIL> in its place, in training, in evaluation and in what the served model is asked.
    """

    secret: SensitivePolicy = Field("quarantine", description="keys, tokens and passwords")
    card: SensitivePolicy = Field("quarantine", description="payment cards, by Luhn's check and issuer")
    iban: SensitivePolicy = Field("quarantine", description="bank accounts, by their check digits")
    national_id: SensitivePolicy = Field("quarantine", description="tax, social security and identity numbers")
    email: SensitivePolicy = Field("report")
    phone: SensitivePolicy = Field("report")
    ip: SensitivePolicy = Field("report")
    presidio: PresidioConfig | None = Field(None, description="what else to look for, with the optional package; null: nothing")

    @property
    def masked_kinds(self) -> tuple[SensitiveKind, ...]:
        """The kinds whose policy is `mask`."""
        return tuple(kind for kind in get_args(SensitiveKind) if getattr(self, kind) == "mask")


class ChecksConfig(Section):
    """What rows are checked for besides their form, and what to do with those that fail."""

    languages: tuple[str, ...] = Field((), description="ISO 639-1 codes of the languages that rows may be written in; empty: any")
    wrong_language: Policy = "quarantine"
    broken_encoding: Policy = Field("quarantine", description="replacement characters, and UTF-8 that was read as something else")
    control_tokens: Policy = Field("quarantine", description="control tokens of a chat template in what users wrote")
    refusal: Policy = Field("quarantine", description="answers that decline, or that only say what an assistant says of itself")
    too_long: Literal["drop", "truncate", "fail"] = Field(
        "drop", description="rows that do not fit into model.max_length; `truncate` shortens the end of the last user turn, never an answer"
    )
    near_duplicate_jaccard: float | None = Field(
        0.8, gt=0, le=1, description="of rows this similar with the same answer one is kept; null: only exact duplicates are removed"
    )
    embedded_rows: int = Field(300, ge=0, description="training and test rows, each, that are compared by meaning; 0: none")


class DataConfig(Section):
    """Preparation: source, checks, split and sizes."""

    source: SourceConfig
    split: SplitConfig = SplitConfig()
    checks: ChecksConfig = ChecksConfig()
    sensitive: SensitiveConfig = SensitiveConfig()
    max_bad_fraction: float = Field(0.1, ge=0, lt=1, description="stop when a larger share of rows is quarantined")
    max_train_rows: int | None = Field(
        None, ge=1, description="keep at most this many training rows, balanced over labels, and validation rows in proportion"
    )
    max_test_rows: int | None = Field(None, ge=1, description="keep at most this many test rows, balanced over labels")
    license: str | None = Field(None, min_length=1, description="licence of the rows for the model card, such as cc-by-4.0")
    canaries: int = Field(0, ge=0, description="random sentences planted among the training rows; such a run can never be promoted")
