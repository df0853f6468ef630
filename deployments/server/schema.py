"""Requests and responses of the model server, in the shapes of OpenAI's API, and of vLLM's for adapters."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """Body of `POST /v1/chat/completions`. A field that is not here is refused, because it would not be obeyed."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1, le=4096)
    max_completion_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: Annotated[float, Field(ge=0, le=0)] | None = Field(None, description="answers are greedy; only 0 is accepted")
    n: Literal[1] | None = None
    stream: Literal[False] | None = None
    seed: int | None = Field(None, description="accepted: greedy answers do not depend on it")
    user: str | None = Field(None, description="accepted, and not stored")


class Usage(BaseModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: ChatMessage
    finish_reason: Literal["stop", "length"]


class ChatResponse(BaseModel):
    """Body of the answer. `model` is the adapter that answered, whatever name was asked for."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class LoadRequest(BaseModel):
    """Body of `POST /v1/load_lora_adapter`."""

    model_config = ConfigDict(extra="forbid")

    lora_name: str = Field(min_length=1)
    lora_path: str = Field(min_length=1)


class UnloadRequest(BaseModel):
    """Body of `POST /v1/unload_lora_adapter`."""

    model_config = ConfigDict(extra="forbid")

    lora_name: str = Field(min_length=1)


class ModelCard(BaseModel):
    """One name that requests may ask for. `root` is the adapter behind it."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tunegate"
    root: str


class ModelList(BaseModel):
    """Body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
