"""Which training rows are reworded, by which operators, and what a reworded row must keep to be accepted."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline_config.base import Section

OperatorName = Literal["synonym", "back_translation", "paraphrase"]
"""In this order they stand in tables."""

Part = Literal["request", "instruction", "answer"]
"""`request`: every turn of the user; `instruction`: the system turn; `answer`: every turn of the assistant that is free text."""


class EndpointConfig(Section):
    """An OpenAI-compatible API that writes candidates."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="base of the API, such as http://127.0.0.1:8080/v1")
    model: str = Field(min_length=1, description="name of the model there")
    api_key_variable: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="environment variable that holds the key; the key itself never stands here"
    )
    timeout: float = Field(60.0, gt=0, description="seconds to wait for one answer")
    retries: int = Field(2, ge=0, le=10, description="further attempts after HTTP 429, 5xx, a lost connection or a time-out")
    concurrency: int = Field(4, ge=1, le=64, description="requests under way at a time")
    cost_per_million_prompt_tokens: float = Field(0.0, ge=0, description="what the provider asks, in the currency of `max_cost`")
    cost_per_million_completion_tokens: float = Field(0.0, ge=0, description="what the provider asks, in the currency of `max_cost`")
    max_cost: float | None = Field(None, gt=0, description="nothing more is asked once this is spent; null: no cap")

    @model_validator(mode="after")
    def _a_cap_needs_prices(self) -> "EndpointConfig":
        if self.max_cost is not None and not (self.cost_per_million_prompt_tokens or self.cost_per_million_completion_tokens):
            raise ValueError(
                "max_cost: without a price (cost_per_million_prompt_tokens, cost_per_million_completion_tokens) nothing is counted"
            )
        return self


class OperatorConfig(Section):
    """What every operator can be told."""

    ratio: float = Field(0.5, gt=0, le=10, description="reworded rows wanted for each training row")
    parts: tuple[Part, ...] = Field(
        ("request",), min_length=1, description="what is reworded: request, instruction, and answer where answers are free text"
    )
    required: bool = Field(False, description="true: the run stops if what the operator needs is not there; false: it is named and skipped")

    @model_validator(mode="after")
    def _another_answer_needs_another_question(self) -> "OperatorConfig":
        if set(self.parts) == {"answer"}:
            raise ValueError("parts: `answer` alone would answer the same request twice; add request or instruction")
        return self


class SynonymConfig(OperatorConfig):
    """Words are replaced by synonyms from WordNet."""

    max_share: float = Field(0.15, gt=0, le=1, description="share of a text's words that may be replaced; at least one word may")


class BackTranslationConfig(OperatorConfig):
    """Texts are translated into another language and back."""

    backend: Literal["apertium", "marian", "endpoint"] = "apertium"
    pivot: str = Field("es", pattern=r"^[a-z]{2}$", description="ISO 639-1 code of the language in between")
    source: str = Field("en", pattern=r"^[a-z]{2}$", description="ISO 639-1 code of the rows' own language; rows in others are left alone")
    marian: tuple[str, str] | None = Field(
        None,
        description="two MarianMT models, into the other language and back: folders, or `owner/name@commit` of a hub; needed by `marian`",
    )
    endpoint: EndpointConfig | None = Field(None, description="needed by `endpoint`")

    @model_validator(mode="after")
    def _backend_has_what_it_needs(self) -> "BackTranslationConfig":
        if self.backend == "marian" and self.marian is None:
            raise ValueError("marian: backend `marian` needs two models")
        if self.backend == "endpoint" and self.endpoint is None:
            raise ValueError("endpoint: backend `endpoint` needs to know whom to ask")
        if self.pivot == self.source:
            raise ValueError(f"pivot: `{self.pivot}` is the rows' own language")
        return self


class ParaphraseConfig(OperatorConfig):
    """A language model says the same in other words: the run's base, in this process, or an endpoint."""

    endpoint: EndpointConfig | None = Field(None, description="null: the run's own base model")
    temperature: float = Field(0.8, gt=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)


class AcceptConfig(Section):
    """What a reworded text must keep. Each rejection is counted by its reason."""

    min_similarity: float = Field(0.7, ge=-1, le=1, description="cosine to its parent (MiniLM), at least")
    max_similarity: float = Field(0.995, ge=-1, le=1, description="cosine to its parent, at most: above, it is hardly another wording")
    min_length_ratio: float = Field(0.5, gt=0, le=1, description="characters of the child over those of its parent")
    max_length_ratio: float = Field(2.0, ge=1, description="characters of the child over those of its parent")
    max_held_out_similarity: float = Field(
        0.95, gt=0, le=1, description="cosine to the nearest validation or test row, at most; above 0.95 it is said in other words there"
    )
    neighbours: int = Field(5, ge=0, description="training rows nearest to the child that must mostly have its label; 0: not looked at")

    @model_validator(mode="after")
    def _a_band(self) -> "AcceptConfig":
        if self.min_similarity >= self.max_similarity:
            raise ValueError("min_similarity: must be below max_similarity")
        return self


class AugmentationConfig(Section):
    """Reworded training rows. An operator without a section is off; with none, no row is reworded."""

    synonym: SynonymConfig | None = None
    back_translation: BackTranslationConfig | None = None
    paraphrase: ParaphraseConfig | None = None
    accept: AcceptConfig = AcceptConfig()
    balance: bool = Field(False, description="give the reworded rows to the rarest labels first, up to the most frequent one's count")
    max_per_row: Annotated[int, Field(ge=1, le=100)] = Field(
        4, description="reworded rows that one training row may have, over all operators"
    )
    ablate: bool = Field(
        False,
        description="first train with and without each operator, compare on validation rows, and drop those without measured lift",
    )
    ablation_steps: int | None = Field(
        None, ge=1, description="optimizer steps of every arm of the ablation; null: those of one epoch over the rows without reworded ones"
    )
    seed: int = Field(17, description="of the choice of rows and words, apart from the training's")

    def operators(self) -> dict[OperatorName, OperatorConfig]:
        """Those that are on, by name."""
        named: dict[OperatorName, OperatorConfig | None] = {
            "synonym": self.synonym, "back_translation": self.back_translation, "paraphrase": self.paraphrase,
        }  # fmt: skip
        return {name: operator for name, operator in named.items() if operator is not None}

    def without(self, names: frozenset[OperatorName]) -> "AugmentationConfig":
        """The same with some operators off."""
        return self.model_copy(update=dict.fromkeys(names))
