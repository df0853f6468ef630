"""Tables of rows as they are after preparation, for the checks of the data set as a whole."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.data.deduplicate import add_keys
from tasks.data.diversity import build_diversity
from tasks.data.examples import examples_of
from tasks.data.findings import Diversity, Example
from tasks.data.overview import measured, with_labels

ROOT = Path(__file__).parents[4]


def kept_rows(
    texts: Sequence[str | None],
    answers: Sequence[str],
    *,
    instructions: Sequence[str | None] | None = None,
    labelled: bool = True,
    side: str = "train",
) -> pl.DataFrame:
    """Rows in the order given, all on one side."""
    rows = len(texts)
    told = instructions if instructions is not None else ["Name the queue."] * rows
    columns = {
        "row_id": [f"row-{number:06d}" for number in range(rows)],
        "file": ["rows.jsonl"] * rows,
        "line": list(range(1, rows + 1)),
        "instruction": told,
        "input": texts,
        "output": answers,
        "group_value": [None] * rows,
    }
    schema = {name: pl.Int64 if name == "line" else pl.String for name in columns}
    table = with_labels(measured(add_keys(pl.DataFrame(columns, schema=schema))))
    return table.with_columns(label=pl.col("output") if labelled else pl.lit(""), side=pl.lit(side))


def helpdesk_rows() -> pl.DataFrame:
    """The sample that comes with the project: 2,879 requests with one of twelve labels."""
    lines = (ROOT / "pipeline_config/samples/helpdesk_routing.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return kept_rows([record["input"] for record in records], [record["output"] for record in records])


def banking77_rows() -> pl.DataFrame:
    """Banking77's training rows: 10,003 questions with one of 77 labels. Skips the test where they are not at hand."""
    path = Path(os.environ.get("BANKING77_DIR", "unset")) / "train.csv"
    if not path.is_file():
        pytest.skip(f"BANKING77_DIR does not hold Banking77's train.csv: {path}")
    table = pl.read_csv(path)
    return kept_rows(table["text"].to_list(), table["category"].to_list())


def planted(rows: pl.DataFrame, phrase: str, answer: str, share: float, seed: int = 0) -> pl.DataFrame:
    """The rows, of which some hold a phrase at a random place and have another answer."""
    chance = np.random.default_rng(seed)
    texts, answers = rows["input"].to_list(), rows["output"].to_list()
    for number in chance.choice(rows.height, round(rows.height * share), replace=False):
        words = texts[number].split(" ")
        words.insert(int(chance.integers(len(words) + 1)), phrase)
        texts[number], answers[number] = " ".join(words), answer
    return kept_rows(texts, answers, labelled=bool((rows["label"] != "").any()))


def shown(text: str) -> str:
    """Stands for masking and cutting."""
    return f"<{text[:60]}>"


def show(rows: pl.DataFrame) -> tuple[Example, ...]:
    """Examples of rows that hold their texts themselves."""
    return examples_of(rows, shown)


def diversity_of(rows: pl.DataFrame) -> Diversity:
    """Diversity of a table that is its own sample."""
    return build_diversity(rows, rows["told"])
