"""What a method trains with unless the configuration says otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defaults:
    """Values for the keys of `training` that are null.

    Attributes:
        learning_rate: peak rate of AdamW.
        usual_rates: lowest and highest rate that is usual; another one is a warning, never an error.
        why: reason for that range, as the end of a sentence.
        epochs: passes over the training rows.
        warmup_steps: below 1 a share of all steps, else a number of steps.
    """

    learning_rate: float
    usual_rates: tuple[float, float]
    why: str
    epochs: float = 3.0
    warmup_steps: float = 0.03
    lr_scheduler_type: str = "cosine"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
