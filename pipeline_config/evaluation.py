"""How base, tuned and champion are asked and measured."""

from pydantic import Field, JsonValue, model_validator

from pipeline_config.base import Section
from pipeline_config.metric_names import METRIC_NAMES, Metric, is_custom, short_name

SLICES = ("label", "length", "language", "source")
"""What test rows can be divided by without naming a column."""


class JudgeConfig(Section):
    """Another model that says which of two answers is better: the contender's or the expected one. Null: nobody is asked."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="base of an OpenAI-compatible API, such as http://127.0.0.1:8080/v1")
    model: str = Field(min_length=1, description="name of the model there")
    api_key_variable: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="environment variable that holds the key; the key itself never stands here"
    )
    question: str = Field(
        "Which answer is more correct and more helpful to the user?", min_length=1, description="what makes an answer the better one"
    )
    rows: int = Field(200, ge=1, description="test rows that are judged, spread evenly")
    position_swap: bool = Field(
        True, description="ask twice with the answers in exchanged places; if the verdicts differ it is a tie. Off: half the requests"
    )
    timeout: float = Field(60.0, gt=0, description="seconds to wait for one verdict")
    retries: int = Field(2, ge=0, le=10, description="further attempts where there was no readable verdict")
    concurrency: int = Field(4, ge=1, le=64, description="requests under way at a time")


class EvaluationConfig(Section):
    """Greedy answers to every test row, by every contender, with the same engine."""

    max_new_tokens: int = Field(16, ge=1, description="longest answer in tokens")
    batch_size: int = Field(
        96, ge=1, description="prompts answered together, at most; fewer if their keys and values would take more than 2 GiB"
    )
    train_sample_rows: int = Field(128, ge=1, description="training rows answered too, to see the gap between training and test")
    retention_questions: int | None = Field(
        None, ge=1, description="questions of the general suite that base and tuned are asked if a gate is of kind `forgetting`; null: all"
    )
    retention_tokens: int = Field(
        20_000, ge=1, description="tokens of general text that base and tuned read if a gate is of kind `forgetting`, at least"
    )
    max_constrained_labels: int = Field(
        200, ge=2, description="up to this many labels the base may only answer one of them; above, it answers freely"
    )
    metrics: tuple[Metric, ...] | None = Field(
        None, description="what is measured, `package.module:NAME` among it; null: what fits labels, text or JSON. Accuracy always is"
    )
    json_schema: str | dict[str, JsonValue] | None = Field(
        None, description="JSON schema of the answers, or the file that holds it; relative paths start at the file that names them"
    )
    slices: tuple[str, ...] | None = Field(
        None,
        description="what test rows are divided by: label, length, language, source or columns of `data.source.slice_columns`; null: all",
    )
    judge: JudgeConfig | None = None

    @model_validator(mode="after")
    def _metrics_have_what_they_need(self) -> "EvaluationConfig":
        listed = self.metrics or ()
        names = [short_name(metric) for metric in listed]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"metrics: {', '.join(repeated)} would be measured twice under one name")
        if taken := sorted(short_name(metric) for metric in listed if is_custom(metric) and short_name(metric) in METRIC_NAMES):
            raise ValueError(f"metrics: {', '.join(taken)} is the name of a built-in metric; rename the function")
        if "json_schema" in listed and self.json_schema is None:
            raise ValueError("metrics: `json_schema` needs the schema (evaluation.json_schema)")
        if "judge" in listed and self.judge is None:
            raise ValueError("metrics: `judge` needs to know whom to ask (evaluation.judge)")
        return self
