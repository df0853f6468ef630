"""Small real files and configurations for the tests of preparation."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline_config.data import ColumnMapping, DataConfig, SourceConfig, SplitConfig
from tasks.artifacts import PreparedData
from tasks.data.prepare import prepare_data
from tasks.rows import Message


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
    return DataConfig(source=SourceConfig(path=path, **source or {}), split=SplitConfig(**{"near_jaccard": None, **(split or {})}), **rest)


def labelled_csv(path: Path, **source: Any) -> SourceConfig:
    """The mapping of a classification file with the columns `text` and `category`."""
    columns = ColumnMapping(instruction=None, input="text", output="category")
    return SourceConfig(path=path, columns=columns, **{"instruction": "Name the intent.", **source})


def count_words(messages: list[Message]) -> int:
    """Stands for a tokenizer: a token is a word, and each turn costs four more."""
    return sum(len(message["content"].split()) + 4 for message in messages)


def prepare(data: DataConfig, folder: Path, *, max_length: int = 512) -> PreparedData:
    return prepare_data(data, max_length=max_length, count_tokens=count_words, folder=folder)
