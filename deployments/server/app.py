"""The model server: OpenAI's chat completions over one base and many adapters."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from deployments.server.schema import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    LoadRequest,
    ModelCard,
    ModelList,
    UnloadRequest,
    Usage,
)
from deployments.server.shelf import Loaded, NameUnknownError, NotServableError, Shelf
from pipeline_config.errors import LedgerError, ModelError
from tasks.generation import Engine
from tasks.ledger import Ledger
from tasks.manifest import BaseIdentity
from tasks.rows import Message

SERVICE = "tunegate-model-server"


def create_app(open_engine: Callable[[BaseIdentity], Engine], ledger: Ledger, cache: Path) -> FastAPI:
    """Builds the server.

    Args:
        open_engine: opens the base that the first version needs.
        ledger: says what is live.
        cache: folder of verified version copies.
    """
    shelf = Shelf(open_engine, ledger, cache)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.faults = shelf.load_live()
        yield

    app = FastAPI(title="tunegate model server", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_error_shapes(app)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"service": SERVICE, "status": "ok", "models": shelf.names(), "faults": app.state.faults}

    @app.get("/v1/models")
    def models() -> ModelList:
        return ModelList(data=[ModelCard(id=name, root=adapter) for name, adapter in sorted(shelf.names().items())])

    @app.post("/v1/chat/completions")
    def chat(request: ChatRequest) -> ChatResponse:
        return _answer(shelf.find(request.model), request)

    @app.post("/v1/load_lora_adapter")
    def load(request: LoadRequest) -> dict[str, str]:
        shelf.load(request.lora_name, Path(request.lora_path))
        return {"status": "loaded", "lora_name": request.lora_name}

    @app.post("/v1/unload_lora_adapter")
    def unload(request: UnloadRequest) -> dict[str, str]:
        shelf.unload(request.lora_name)
        return {"status": "unloaded", "lora_name": request.lora_name}

    return app


def _answer(loaded: Loaded, request: ChatRequest) -> ChatResponse:
    messages: list[Message] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
    if loaded.manifest.instruction and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": loaded.manifest.instruction})
    limit = request.max_completion_tokens or request.max_tokens or loaded.manifest.max_new_tokens
    answer = loaded.engine.answer([messages], adapter=loaded.name, max_new_tokens=limit)[0]
    return ChatResponse(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=loaded.name,
        choices=[Choice(message=ChatMessage(role="assistant", content=answer.text), finish_reason=answer.finish_reason)],
        usage=Usage(
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            total_tokens=answer.prompt_tokens + answer.completion_tokens,
        ),
    )


def _add_error_shapes(app: FastAPI) -> None:
    """Every error has OpenAI's shape, so that its clients show the message."""

    @app.exception_handler(NameUnknownError)
    def unknown(_: Request, error: NameUnknownError) -> JSONResponse:
        return _error(404, f"the model {error} does not exist here; GET /v1/models lists what does", "model_not_found")

    @app.exception_handler(NotServableError)
    def not_servable(_: Request, error: NotServableError) -> JSONResponse:
        return _error(503, str(error), "live_version_not_servable")

    @app.exception_handler(LedgerError)
    def broken_ledger(_: Request, error: LedgerError) -> JSONResponse:
        return _error(503, str(error), "ledger_not_usable")

    @app.exception_handler(ModelError)
    def refused(_: Request, error: ModelError) -> JSONResponse:
        return _error(400, str(error), "invalid_adapter")

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors())
        return _error(400, faults, "invalid_request")


def _error(status: int, message: str, code: str) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status_code=status)
