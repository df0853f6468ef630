"""Errors of the model server in OpenAI's shape, so that its clients show the message."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployments.server.shelf import NameUnknownError, NotServableError
from pipeline_config.errors import LedgerError, ModelError


def add_fault_shapes(app: FastAPI) -> None:
    """Gives every error of an app its status, message and code."""

    @app.exception_handler(NameUnknownError)
    def unknown(_: Request, error: NameUnknownError) -> JSONResponse:
        return _fault(HTTPStatus.NOT_FOUND, f"the model '{error}' does not exist here; GET /v1/models lists what does", "model_not_found")

    @app.exception_handler(NotServableError)
    def not_servable(_: Request, error: NotServableError) -> JSONResponse:
        return _fault(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "live_version_not_servable")

    @app.exception_handler(LedgerError)
    def broken_ledger(_: Request, error: LedgerError) -> JSONResponse:
        return _fault(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "ledger_not_usable")

    @app.exception_handler(ModelError)
    def refused(_: Request, error: ModelError) -> JSONResponse:
        return _fault(HTTPStatus.BAD_REQUEST, str(error), "adapter_refused")

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        places = [".".join(str(part) for part in fault["loc"][1:]) for fault in error.errors()]
        said = [str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors()]
        message = "; ".join(f"{place}: {text}" if place else text for place, text in zip(places, said, strict=True))
        return _fault(HTTPStatus.BAD_REQUEST, message, "invalid_request", places[0] or None)

    @app.exception_handler(HTTPException)
    def other(_: Request, error: HTTPException) -> JSONResponse:
        return _fault(HTTPStatus(error.status_code), str(error.detail), "invalid_request")

    @app.exception_handler(Exception)
    def unexpected(_: Request, error: Exception) -> JSONResponse:
        return _fault(HTTPStatus.INTERNAL_SERVER_ERROR, f"unexpected {type(error).__name__}; the server's log has more", "internal_error")


def _fault(status: HTTPStatus, message: str, code: str, param: str | None = None) -> JSONResponse:
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status_code=status)
