"""Augmented data, kept by content.

What an endpoint left unanswered is asked for again by the next run. Until then a run uses what is there, under a key of its own.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline_config.augmentation import AugmentationConfig
from pipeline_config.model import ModelConfig
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, PreparedData
from tasks.augment.children import link_files
from tasks.augment.neighbours import Embedder
from tasks.augment.operators import Missing, Operator
from tasks.chat import Tokenizer
from tasks.files import candidate_cache, stage_store
from tasks.models import identify_base
from tasks.rows import Message
from tasks.stages import StageResult, run_stage


class _Incomplete(Exception):
    """Keeps data that lack answers of an endpoint from being stored as complete."""

    def __init__(self, augmented: PreparedData) -> None:
        super().__init__("some requests were not answered")
        self.augmented = augmented


def wanted_operators(config: AugmentationConfig, ablation: Ablation | None) -> AugmentationConfig:
    """The configuration without the operators that an ablation dropped."""
    return config if ablation is None else config.without(frozenset(name for name in config.operators() if name in ablation.dropped))


def keep_augmented(
    config: PipelineConfig,
    workspace: Path,
    prepared: StageResult[PreparedData],
    operators: list[Operator],
    missing: list[Missing],
    ablation: StageResult[Ablation] | None,
    embedder: Embedder,
) -> StageResult[PreparedData]:
    """Augments the rows, or reuses what the same rows, settings and operators gave before.

    Raises:
        DataError: see :func:`tasks.augment.stage.augment_data`.
    """
    settings = wanted_operators(config.augmentation, ablation.value if ablation is not None else None)
    inputs = {
        "prepared": prepared.key,
        "data": [prepared.value.digest, prepared.value.training_digest],
        "near_jaccard": config.data.split.near_jaccard,
        "context": [identify_base(config.model, workspace).digest, config.model.max_length],
        "augmentation": settings.model_dump(mode="json"),
        "operators": {operator.name: operator.version for operator in operators},
        "missing": [[lacking.name, lacking.needs, lacking.command] for lacking in missing],
        "ablation": ablation.value.model_dump(mode="json", exclude={"folder"}) if ablation is not None else None,
        "embedder": embedder.name,
    }

    def build(folder: Path) -> PreparedData:
        # Imported only when there is something to do: it brings scipy and what finds personal data.
        from tasks.augment.stage import augment_data

        made = augment_data(
            settings, config.data, prepared.value, operators, folder=folder, cache=candidate_cache(workspace), embedder=embedder,
            seed=settings.seed, fits=_fits_into(config.model, workspace), missing=missing,
            ablation=ablation.value if ablation is not None else None,
        )  # fmt: skip
        if made.augmentation is not None and any(counts.unanswered for counts in made.augmentation.operators):
            raise _Incomplete(made)
        return made

    try:
        return run_stage(stage_store(workspace), "augment", inputs, PreparedData, build)
    except _Incomplete as error:
        return _kept_meanwhile(workspace, inputs, error.augmented)


def _fits_into(model: ModelConfig, workspace: Path) -> Callable[[list[Message]], bool]:
    """Whether the model's context holds a chat. The tokenizer is loaded when that is first asked."""

    @functools.cache
    def tokenizer() -> Tokenizer:
        from tasks.models import load_tokenizer

        return load_tokenizer(model, workspace)

    def fits(messages: list[Message]) -> bool:
        from tasks.chat import count_tokens

        return count_tokens(tokenizer(), messages) <= model.max_length

    return fits


def _kept_meanwhile(workspace: Path, inputs: dict[str, Any], made: PreparedData) -> StageResult[PreparedData]:
    """The same rows lead to the same key, so that training is not repeated while an endpoint is away."""

    def build(folder: Path) -> PreparedData:
        link_files(made.folder, folder)
        return made.model_copy(update={"folder": folder})

    return run_stage(stage_store(workspace), "augment", inputs | {"incomplete": made.training_digest}, PreparedData, build)
