"""Rows, an embedder that counts words, and one call of augmentation with everything that it needs."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline_config.augmentation import AugmentationConfig
from pipeline_config.data import DataConfig
from tasks.artifacts import PreparedData
from tasks.augment.children import REJECTED_FILE
from tasks.augment.operators import Operator, Request
from tasks.augment.stage import augment_data
from tasks.rows import CHILDREN_FILE, Row, read_rows
from tests.builders import make_prepared, make_row

SUBJECTS = ("printer", "laptop", "keyboard", "monitor", "headset", "router", "scanner", "projector")
FAULTS = ("shows a blue light", "makes a grinding noise", "went dark this morning", "lost its driver", "smells of burning plastic")
PLACES = ("in the lobby", "on the third floor", "at my desk", "beside the kitchen", "in the meeting room")

MANY = [
    f"The {subject} {place} {fault} {when}"
    for subject in SUBJECTS for place in PLACES for fault in FAULTS for when in ("once", "twice", "daily", "weekly", "rarely", "often")
]  # fmt: skip
"""Twelve hundred texts."""
ROWS = [f"The {subject} {PLACES[(number + at) % 5]} {fault}" for number, subject in enumerate(SUBJECTS) for at, fault in enumerate(FAULTS)]
HELD = ["Why is my salary statement missing", "Please order wooden chairs for the terrace", "Who waters the plants during the holidays"]


class WordCounter:
    """Unit vectors of word counts: texts that share most words are near."""

    name = "word counts"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), 256), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                vector[hashlib.sha256(word.encode()).digest()[0]] += 1
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def politely(request: Request) -> str:
    """Another wording that keeps everything, one of twelve by its seed."""
    return f"{request.text} {('please', 'kindly', 'thanks', 'again')[request.seed % 4]} {('there', 'somehow', 'always')[request.seed % 3]}"


def rows_of(texts: Sequence[str], label: str = "hardware") -> list[Row]:
    return sorted((make_row(text, label) for text in texts), key=lambda row: row["row_id"])


def prepared_in(folder: Path, train: Sequence[Row], held: Sequence[str] = HELD, **options: Any) -> PreparedData:
    """Validation gets the first of the held-out texts, the test side the others."""
    return make_prepared(folder, train, rows_of(held[:1]), rows_of(held[1:]), **options)


def settings(**changes: Any) -> AugmentationConfig:
    """Synonyms for half of the rows, unless something else is asked for; neighbours are not looked at."""
    return AugmentationConfig.model_validate({"synonym": {}, "accept": {"neighbours": 0}} | changes)


def data_config(**split: Any) -> DataConfig:
    return DataConfig.model_validate({"source": {"path": "unused.jsonl"}, "split": split})


def augment(
    folder: Path, prepared: PreparedData, operators: Sequence[Operator], config: AugmentationConfig | None = None, **options: Any
) -> PreparedData:
    """Augments into `folder/augmented`, with the cache in `folder`."""
    given: dict[str, Any] = {
        "folder": folder / "augmented", "cache": folder / "candidates.sqlite", "embedder": WordCounter(), "seed": 17,
    }  # fmt: skip
    return augment_data(config or settings(), options.pop("data", data_config()), prepared, operators, **(given | options))


def children_in(augmented: PreparedData) -> pl.DataFrame:
    return pl.read_parquet(augmented.folder / CHILDREN_FILE)


def train_in(augmented: PreparedData) -> list[Row]:
    return read_rows(augmented.folder / "train.parquet")


def rejected_in(augmented: PreparedData) -> Counter[str]:
    return Counter(pl.read_parquet(augmented.folder / REJECTED_FILE)["reason"].to_list())
