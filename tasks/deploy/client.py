"""The model server over HTTP, with the calls that vLLM has too."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from pydantic import ValidationError

from pipeline_config.errors import ServiceError
from tasks.artifacts import Record
from tasks.rows import Message
from tasks.tool_calls import parse_tool_calls

SERVICE = "tunegate-model-server"
"""What the server calls itself in `/health`."""


class Reply(Record):
    """An answer of the endpoint. `model` is the adapter that gave it."""

    text: str
    model: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class ModelServer:
    """A connection to the model server. Use it as a context manager, or close it.

    Args:
        url: such as `http://127.0.0.1:8000`.
        timeout: seconds to wait for one answer.
    """

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        self._url = url.rstrip("/")
        # No proxy: the server is on this machine, and a proxy of the environment would not find it.
        self._http = httpx.Client(base_url=self._url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def health(self) -> dict[str, Any]:
        """What the server says about itself.

        Raises:
            ServiceError: nothing answers, or something else does.
        """
        answer = self._call("GET", "/health").json()
        if not isinstance(answer, dict) or answer.get("service") != SERVICE:
            raise ServiceError("another service answers", where=self._url, expected=SERVICE, hint="choose a free TUNEGATE_SERVER_PORT")
        return answer

    def adapters(self) -> tuple[str, ...]:
        """Names of the versions in memory.

        Raises:
            ServiceError: the server does not answer.
        """
        return tuple(str(name) for name in self.health()["adapters"])

    def models(self) -> tuple[str, ...]:
        """Names that `model` may have.

        Raises:
            ServiceError: the server does not answer.
        """
        return tuple(str(model["id"]) for model in self._call("GET", "/v1/models").json()["data"])

    def masks(self, adapter_name: str) -> tuple[str, ...]:
        """The kinds of personal data that the server masks in what it asks an adapter; what is no list of names says that it masks none.

        Raises:
            ServiceError: the server does not answer.
        """
        cards = self._call("GET", "/v1/models").json()["data"]
        said = next((card.get("masks") for card in cards if card["id"] == adapter_name), None)
        return tuple(kind for kind in said if isinstance(kind, str)) if isinstance(said, list) else ()

    def load(self, adapter_name: str, artifact: Path) -> None:
        """Makes the server load a version; nothing happens if it has it.

        Raises:
            ServiceError: the server refuses, or does not answer.
        """
        self._bring_about(adapter_name, "/v1/load_lora_adapter", {"lora_name": adapter_name, "lora_path": str(artifact)}, present=True)

    def unload(self, adapter_name: str) -> None:
        """Makes the server forget a version; nothing happens if it does not have it.

        Raises:
            ServiceError: the version is live, or the server does not answer.
        """
        self._bring_about(adapter_name, "/v1/unload_lora_adapter", {"lora_name": adapter_name}, present=False)

    def chat(self, model: str, messages: Sequence[Message]) -> Reply:
        """A greedy answer, as long as the version's manifest allows.

        Raises:
            ServiceError: the server refuses, does not answer, or answers something else.
        """
        body = {"model": model, "messages": [_as_openai(message) for message in messages], "temperature": 0}
        answer = self._call("POST", "/v1/chat/completions", body).json()
        try:
            choice, usage = answer["choices"][0], answer["usage"]
            return Reply(
                text=choice["message"]["content"],
                model=answer["model"],
                finish_reason=choice["finish_reason"],
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"],
            )
        except (LookupError, TypeError, ValidationError) as error:
            raise ServiceError(f"the answer has another shape: {answer!r:.300}", where=self._url, expected="a chat completion") from error

    def _bring_about(self, adapter_name: str, path: str, body: dict[str, Any], *, present: bool) -> None:
        """Asks first and looks afterwards: the server also loads by itself, when somebody asks for what is live."""
        try:
            self._call("POST", path, body)
        except ServiceError:
            if (adapter_name in self.adapters()) is not present:
                raise

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        where = f"{method} {self._url}{path}"
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TimeoutException as error:
            raise ServiceError("the model server did not answer in time", where=where, hint="raise deployment.request_timeout") from error
        except httpx.HTTPError as error:
            raise ServiceError(
                f"the model server cannot be reached: {error}", where=where, hint="`tunegate up` starts it; `tunegate status` shows it"
            ) from error
        if response.is_error:
            raise ServiceError(
                f"the model server answered {response.status_code}: {_message(response)}", where=where, expected="status 200"
            )
        return response


def _as_openai(message: Message) -> dict[str, Any]:
    """Tool calls as a list, with the arguments as text."""
    if "tool_calls" not in message:
        return {"role": message["role"], "content": message["content"]}
    calls = parse_tool_calls(message["tool_calls"])
    for call in calls:
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return {"role": message["role"], "content": message["content"], "tool_calls": calls}


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return response.text[:300]
