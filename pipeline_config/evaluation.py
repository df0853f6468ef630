"""How base, tuned and champion are asked and measured."""

from pydantic import Field

from pipeline_config.base import Section


class EvaluationConfig(Section):
    """Greedy answers to every test row, by every contender, with the same engine."""

    max_new_tokens: int = Field(16, ge=1, description="longest answer in tokens")
    batch_size: int = Field(32, ge=1, description="prompts answered together")
    train_sample_rows: int = Field(128, ge=1, description="training rows answered too, to see the gap between training and test")
    max_constrained_labels: int = Field(
        200, ge=2, description="up to this many labels the base may only answer one of them; above, it answers freely"
    )
