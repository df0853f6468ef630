"""Requests and responses of the model server, in the shapes of OpenAI's API, and of vLLM's for adapters."""

import json
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipeline_config.errors import DataError
from tasks.rows import Message
from tasks.tool_calls import parse_tool_calls

_LONGEST_ANSWER = 4096
_NEUTRAL: dict[str, object] = {
    "temperature": 0,
    "top_p": 1,
    "n": 1,
    "stream": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "stop": None,
}
"""Settings that clients like to send, with the only value that a single greedy answer obeys."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ChatTurn(_Request):
    """One turn of a request. Only an assistant's may call tools, and only one that does may have no text."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = Field(None, description="accepted: results are told apart by their order")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a turn of the {self.role} cannot call tools")
        if self.content is None and not self.tool_calls:
            raise ValueError("a turn needs a text")
        try:
            self.as_message()
        except DataError as error:
            raise ValueError(f"{error.what}; expected {error.expected}") from None
        return self

    def as_message(self) -> Message:
        """The turn as training rows hold it."""
        message: Message = {"role": self.role, "content": self.content or ""}
        if self.tool_calls:
            message["tool_calls"] = json.dumps(parse_tool_calls(json.dumps(self.tool_calls)), ensure_ascii=False)
        return message


class ChatRequest(_Request):
    """Body of `POST /v1/chat/completions`. What would not be obeyed is refused."""

    model: str
    messages: list[ChatTurn] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1, le=_LONGEST_ANSWER)
    max_completion_tokens: int | None = Field(None, ge=1, le=_LONGEST_ANSWER)
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stream: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    stop: Any = None
    seed: int | None = Field(None, description="accepted: greedy answers do not depend on it")
    user: str | None = Field(None, description="accepted, and not stored")

    @field_validator(*_NEUTRAL)
    @classmethod
    def _is_neutral(cls, value: object, info: ValidationInfo) -> object:
        neutral = _NEUTRAL[str(info.field_name)]
        if value is not None and value != neutral:
            raise ValueError(f"{value!r} is not supported: there is one greedy answer, in one piece; leave it out or give {neutral!r}")
        return value

    @field_validator("messages")
    @classmethod
    def _is_a_question(cls, messages: list[ChatTurn]) -> list[ChatTurn]:
        if messages[-1].role not in ("user", "tool"):
            raise ValueError(f"the last turn is the {messages[-1].role}'s; it has to be the user's or a tool's")
        if any(turn.role == "system" for turn in messages[1:]):
            raise ValueError("only the first turn may be the system's")
        roles = [turn.role for turn in messages]
        if any(role == "tool" and before not in ("assistant", "tool") for before, role in pairwise(["", *roles])):
            raise ValueError("a tool's turn has to follow the assistant's, or another tool's")
        return messages

    @model_validator(mode="after")
    def _has_one_limit(self) -> "ChatRequest":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are the same setting: give one")
        return self


class Usage(BaseModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(BaseModel):
    """What was answered. A call of a tool is text as well, as the model's template writes it."""

    role: Literal["assistant"] = "assistant"
    content: str


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


class LoadRequest(_Request):
    """Body of `POST /v1/load_lora_adapter`."""

    lora_name: str = Field(min_length=1)
    lora_path: str = Field(min_length=1)


class UnloadRequest(_Request):
    """Body of `POST /v1/unload_lora_adapter`."""

    lora_name: str = Field(min_length=1)


class ModelCard(BaseModel):
    """One name that requests may ask for. `root` is the adapter behind it, `masks` what is masked in its requests."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tunegate"
    root: str
    masks: list[str] = []


class ModelList(BaseModel):
    """Body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """Body of `GET /health`. It says who answers, and asks nobody else: neither the ledger nor a model has to be well for it."""

    service: str
    status: Literal["ok"] = "ok"
    adapters: list[str]
