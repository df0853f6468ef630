"""The model server: OpenAI's chat completions over one base and many adapters."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from deployments.server.faults import add_fault_shapes
from deployments.server.schema import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    Health,
    LoadRequest,
    ModelCard,
    ModelList,
    UnloadRequest,
    Usage,
)
from deployments.server.shelf import Loaded, Shelf
from tasks.deploy.client import SERVICE
from tasks.generation import Engine
from tasks.ledger import Ledger
from tasks.manifest import BaseIdentity
from tasks.rows import Message

MASKED = "x-tunegate-masked"
"""Header of an answer: how many of each kind of personal data were masked in the request."""


def create_app(engine_factory: Callable[[BaseIdentity], Engine], ledger: Ledger, cache: Path) -> FastAPI:
    """Builds the server. What is live is loaded before it takes requests.

    Args:
        engine_factory: opens the base that the first version needs.
        ledger: says what is live.
        cache: folder of verified version copies (`tasks.files.version_cache`).
    """
    shelf = Shelf(engine_factory, ledger, cache)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        shelf.load_live()
        yield

    app = FastAPI(title="tunegate model server", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_fault_shapes(app)

    # Plain functions: each request runs in a thread of the pool, and waits there for a model without keeping others from being heard.
    @app.get("/health")
    def health() -> Health:
        return Health(service=SERVICE, adapters=shelf.adapters())

    @app.get("/v1/models")
    def models() -> ModelList:
        masks = shelf.masks()
        cards = [ModelCard(id=name, root=root, masks=masks.get(root, [])) for name, root in sorted(shelf.names().items())]
        return ModelList(data=cards)

    @app.post("/v1/chat/completions")
    def chat(request: ChatRequest, response: Response) -> ChatResponse:
        with shelf.lease(request.model) as loaded:
            messages, counts = loaded.mask([turn.as_message() for turn in request.messages])
            if counts:
                response.headers[MASKED] = ", ".join(f"{kind}={count}" for kind, count in sorted(counts.items()))
            return _answer(loaded, request, messages)

    @app.post("/v1/load_lora_adapter")
    def load(request: LoadRequest) -> PlainTextResponse:
        shelf.load(request.lora_name, Path(request.lora_path))
        return PlainTextResponse(f"Success: LoRA adapter '{request.lora_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter")
    def unload(request: UnloadRequest) -> PlainTextResponse:
        shelf.unload(request.lora_name)
        return PlainTextResponse(f"Success: LoRA adapter '{request.lora_name}' removed successfully.")

    return app


def _answer(loaded: Loaded, request: ChatRequest, messages: list[Message]) -> ChatResponse:
    if loaded.manifest.instruction and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": loaded.manifest.instruction})
    limit = request.max_completion_tokens or request.max_tokens or loaded.manifest.max_new_tokens
    answer = loaded.engine.answer([messages], adapter=loaded.name, max_new_tokens=limit)[0]
    return ChatResponse(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=loaded.name,
        choices=[Choice(message=ChatMessage(content=answer.text), finish_reason=answer.finish_reason)],
        usage=Usage(
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            total_tokens=answer.prompt_tokens + answer.completion_tokens,
        ),
    )
