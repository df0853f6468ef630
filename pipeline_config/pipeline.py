"""The whole configuration of one pipeline run."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline_config.augmentation import AugmentationConfig
from pipeline_config.base import Section
from pipeline_config.data import DataConfig
from pipeline_config.deployment import DeploymentConfig
from pipeline_config.evaluation import SLICES, EvaluationConfig
from pipeline_config.gates import GateConfig, unknown_metrics
from pipeline_config.metric_names import short_name
from pipeline_config.model import ModelConfig
from pipeline_config.registry import RegistryConfig
from pipeline_config.training import TrainingConfig


class PipelineConfig(Section):
    """Everything that decides the outcome of a run. Machine settings (ports, folders, URLs) are not here: see `environment`."""

    environment: Literal["local", "production"] = Field("production", description="`production` refuses approval policy `auto`")
    data: DataConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gates: dict[str, GateConfig] = Field(min_length=1)
    registry: RegistryConfig = RegistryConfig()
    deployment: DeploymentConfig = DeploymentConfig()

    @model_validator(mode="after")
    def _production_needs_a_reviewer(self) -> "PipelineConfig":
        if self.environment == "production" and self.registry.approval == "auto":
            raise ValueError("registry.approval: `auto` is refused where `environment` is `production`; use `mlflow_review`")
        return self

    @model_validator(mode="after")
    def _overfitting_is_always_judged(self) -> "PipelineConfig":
        if not any(gate.kind == "overfitting" for gate in self.gates.values()):
            raise ValueError("gates: at least one gate of kind `overfitting` is required; production opens only after that check")
        if not any(gate.kind == "threshold" for gate in self.gates.values()):
            raise ValueError("gates: at least one gate of kind `threshold` is required; production opens only after a metric check")
        return self

    @model_validator(mode="after")
    def _gates_judge_what_is_measured(self) -> "PipelineConfig":
        listed = None if self.evaluation.metrics is None else [short_name(metric) for metric in self.evaluation.metrics]
        if faults := unknown_metrics(self.gates, listed):
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _one_precision(self) -> "PipelineConfig":
        halves = [name for name in ("bf16", "fp16") if (self.training.model_extra or {}).get(name) in (True, "true")]
        if halves and self.model.dtype == "float32":
            raise ValueError(f"training.{halves[0]}: `model.dtype` says in which precision the base is, and it is float32: give one")
        products = self.training.qlora.bnb_4bit_compute_dtype
        if self.training.method == "qlora" and products not in (None, self.model.dtype):
            raise ValueError(
                f"training.qlora.bnb_4bit_compute_dtype: evaluation and serving compute in `model.dtype`, which is {self.model.dtype}, "
                f"and training would in {products}: leave it null, or change `model.dtype`"
            )
        return self

    @model_validator(mode="after")
    def _slices_are_kept(self) -> "PipelineConfig":
        kept = (*SLICES, *self.data.source.slice_columns)
        if unknown := [name for name in self.evaluation.slices or () if name not in kept]:
            raise ValueError(
                f"evaluation.slices: {', '.join(unknown)} is none of {', '.join(kept)}; columns of the source are kept if "
                "data.source.slice_columns names them"
            )
        return self

    def as_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values, for logging and digests."""
        return self.model_dump(mode="json")
