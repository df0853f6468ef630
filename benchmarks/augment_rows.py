"""Banking77 reworded by one operator, as the pipeline does it. What was done before with the same rows, settings and code is reused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline_config.augmentation import AugmentationConfig, OperatorName
from pipeline_config.loading import load_config
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData
from tasks.augment.operators import Missing, Operator
from tasks.embeddings import EmbeddedEmbedder
from tasks.files import candidate_cache, stage_store
from tasks.rows import CHILDREN_FILE, read_rows
from tasks.stages import run_stage

OPERATORS: tuple[OperatorName, ...] = ("synonym", "back_translation", "paraphrase")


class RememberingEmbedder:
    """The pipeline's embedder, which embeds each text once in a process: most texts are the same for every seed."""

    def __init__(self) -> None:
        self._embedder = EmbeddedEmbedder()
        self._known: dict[str, NDArray[np.float32]] = {}

    @property
    def name(self) -> str:
        """That of the pipeline's: the vectors are the same."""
        return self._embedder.name

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As :meth:`tasks.embeddings.Embedder.embed`."""
        new = sorted(set(texts) - self._known.keys())
        if new:
            self._known |= dict(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def banking(train_rows: int, *, test_rows: int | None = None) -> PipelineConfig:
    """The preset with so many training rows, divided evenly over the labels, and all test rows unless told otherwise.

    Raises:
        ConfigError: BANKING77_DIR is not set.
    """
    limits = {"max_train_rows": train_rows, "max_test_rows": "null" if test_rows is None else test_rows}
    return load_config("banking77", overrides=[f"data.{name}={limit}" for name, limit in limits.items()])


def only(name: OperatorName, ratio: float) -> AugmentationConfig:
    """One operator with its default settings, but for how many rows are wanted."""
    return AugmentationConfig.model_validate({name: {"ratio": ratio}})


def open_one(name: OperatorName, config: PipelineConfig, workspace: Path) -> Operator | Missing:
    """The operator, or what is missing."""
    from tasks.augment.catalogue import open_operators

    opened, missing = open_operators(only(name, 1.0), config.model, workspace)
    return opened[0] if opened else missing[0]


def reword(
    config: PipelineConfig,
    prepared: PreparedData,
    operator: Operator,
    settings: AugmentationConfig,
    workspace: Path,
    embedder: Any,
    seed: int,
) -> PreparedData:
    """The rows with those that the operator adds."""

    def build(folder: Path) -> PreparedData:
        from tasks.augment.stage import augment_data

        return augment_data(
            settings, config.data, prepared, [operator], folder=folder, cache=candidate_cache(workspace), embedder=embedder, seed=seed
        )

    inputs = {
        "data": prepared.digest, "augmentation": settings.model_dump(mode="json"), "operator": operator.version, "seed": seed,
        "near_jaccard": config.data.split.near_jaccard,
    }  # fmt: skip
    return run_stage(stage_store(workspace), "benchmark-augment", inputs, PreparedData, build).value


def children_of(augmented: PreparedData) -> list[str]:
    """The texts of the rows that were added."""
    added = set(pl.read_parquet(augmented.folder / CHILDREN_FILE)["row_id"])
    return [row["messages"][-2]["content"] for row in read_rows(augmented.folder / "train.parquet") if row["row_id"] in added]


def held_out_of(prepared: PreparedData) -> list[str]:
    """The texts of validation and test rows."""
    sides = [read_rows(prepared.folder / f"{side}.parquet") for side in ("validation", "test")]
    return [row["messages"][-2]["content"] for rows in sides for row in rows]
