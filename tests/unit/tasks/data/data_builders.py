"""Small real files and configurations for the tests of preparation."""

import csv
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_config.data import ChecksConfig, ColumnMapping, DataConfig, SourceConfig, SplitConfig
from tasks.artifacts import PreparedData
from tasks.data.prepare import prepare_data
from tasks.data.sources import Source
from tasks.data.split import SIDES
from tasks.data.template import ChatTemplate
from tasks.rows import Message, Row, read_rows


def ticket(number: int, label: str = "network", **changes: object) -> dict[str, object]:
    """A fit row; no two numbers have the same text."""
    return {"instruction": "Name the queue.", "input": f"ticket {number} for {label}", "output": label} | changes


def tickets(labels: Sequence[str] = ("network", "email"), each: int = 20) -> list[dict[str, object]]:
    """Fit rows, the same number for each label."""
    return [ticket(number, label) for label in labels for number in range(each)]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def data_config(path: Path, *, split: Mapping[str, Any] | None = None, source: Mapping[str, Any] | None = None, **rest: Any) -> DataConfig:
    """A configuration for :func:`tickets`, which differ in a number only: near rows are left where they are unless a test asks."""
    plain = {"split": SplitConfig(**{"near_jaccard": None, **(split or {})}), "checks": ChecksConfig(near_duplicate_jaccard=None)}
    return DataConfig(source=SourceConfig(path=path, **source or {}), **{**plain, **rest})


def labelled_csv(path: Path, **source: Any) -> SourceConfig:
    """The mapping of a classification file with the columns `text` and `category`."""
    columns = ColumnMapping(instruction=None, input="text", output="category")
    return SourceConfig(path=path, columns=columns, **{"instruction": "Name the intent.", **source})


def count_words(messages: list[Message]) -> int:
    """Stands for a tokenizer: a token is a word, and each turn costs four more."""
    return sum(len(message["content"].split()) + 4 for message in messages)


def template(max_length: int = 512) -> ChatTemplate:
    """A template that renders everything, with two control tokens."""
    return ChatTemplate(max_length, count_words, lambda: {"<|begin|>", "<|end|>"}, frozenset)


def prepare(data: DataConfig, folder: Path, *, max_length: int = 512, recorded: pl.DataFrame | None = None) -> PreparedData:
    return prepare_data(data, template=template(max_length), folder=folder, recorded=recorded)


def read_table(source: SourceConfig, group_column: str | None = None) -> pl.DataFrame:
    """All shards of a source."""
    return pl.concat(Source(source, group_column).shards())


def sides(prepared: PreparedData) -> dict[str, list[Row]]:
    return {side: read_rows(prepared.folder / f"{side}.parquet") for side in SIDES}


def prepared_from(tmp_path: Path, rows: list[dict[str, object]], **options: Any) -> PreparedData:
    return prepare(data_config(write_jsonl(tmp_path / "a.jsonl", rows), **options), tmp_path / "out")


def unlike_tickets(count: int) -> list[dict[str, object]]:
    """Fit rows of which no two are near."""
    draw = random.Random(3)
    texts = [" ".join("".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(8)) for _ in range(count)]
    return [ticket(0, ("network", "email")[number % 2], input=text) for number, text in enumerate(texts)]
