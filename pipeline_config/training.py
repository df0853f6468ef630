"""How the model is adapted: method, optimisation, stopping."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline_config.base import Section


class LoraSettings(Section):
    """Fields of `peft.LoraConfig`, under PEFT's own names."""

    r: int = Field(16, ge=1, le=1024)
    lora_alpha: int | None = Field(None, ge=1, description="default: 2 x r")
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: Literal["attention", "all-linear"] = Field("all-linear", description="which projections get an adapter")
    use_rslora: bool = False


class TrainingConfig(Section):
    """Optimisation, under the names of `transformers.TrainingArguments` where it has one."""

    method: Literal["lora"] = "lora"
    lora: LoraSettings = LoraSettings()
    epochs: float = Field(3.0, ge=0, description="passes over the training rows (`num_train_epochs`); 0 leaves the adapter untrained")
    learning_rate: float = Field(5e-4, gt=0, lt=1)
    per_device_train_batch_size: int = Field(8, ge=1, description="rows packed into one forward pass")
    gradient_accumulation_steps: int = Field(1, ge=1)
    warmup_steps: float = Field(0.03, ge=0, description="below 1 a share of all steps, else a number of steps")
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    evals_per_epoch: int = Field(2, ge=1, description="validation passes, each with a checkpoint, in one epoch")
    early_stopping_patience: int | None = Field(
        3, ge=1, description="validation passes without improvement before training stops; null: never"
    )
    load_best_model_at_end: bool = Field(True, description="ship the checkpoint with the lowest validation loss, not the last one")
    seed: int = Field(17, ge=0, description="seed of adapter initialisation, row order and dropout")

    @model_validator(mode="before")
    @classmethod
    def _accept_trainer_names(cls, values: Any) -> Any:
        """`num_train_epochs` is what Trainer calls `epochs`; either is accepted, both at once are not."""
        if isinstance(values, dict) and "num_train_epochs" in values:
            if "epochs" in values:
                raise ValueError("`epochs` and `num_train_epochs` are the same setting: give one")
            values = dict(values)
            values["epochs"] = values.pop("num_train_epochs")
        return values
