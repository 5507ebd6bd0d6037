"""Errors to status and body, once, in the reference's forms.

An explicit HTTP error is `{"detail": …}`; a missing object `{"detail": …}` too, unless the route
is a state transition, which says `{"exception_message": …}`; a body or parameter that does not
fit is 422 with the field named; what is unexpected is 500, logged with its traceback.
"""

import re
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    SerializationException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap

from storage.errors import Busy, Conflict, InvalidValue, NotFound, Unavailable

_log = structlog.get_logger("tailrace.api")
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class InvalidRequest(Exception):
    """A request whose `loc` is wrong in the way `message` says; answered 422."""

    def __init__(self, loc: list[str | int], message: str, *, kind: str = "value_error") -> None:
        super().__init__(message)
        self.detail = {"type": kind, "loc": loc, "msg": message}

    @classmethod
    def from_msgspec(cls, error: Exception, *, source: str = "body") -> "InvalidRequest":
        """From msgspec's "… - at `$.a[0].b`", the path becoming `loc`."""
        match = _PATH.match(str(error))
        message, path = (match["message"], match["path"] or "") if match else (str(error), "")
        loc: list[str | int] = [source]
        for name, index in _STEP.findall(path):
            loc.append(int(index) if index.isdigit() else (index or name))
        kind = "json_invalid" if not isinstance(error, msgspec.ValidationError) else "value_error"
        missing = re.search(r"missing required field `([^`]+)`", message)
        unknown = re.search(r"contains unknown field `([^`]+)`", message)
        if missing:
            loc.append(missing[1])
            kind = "missing"
        elif unknown:
            loc.append(unknown[1])
            kind = "extra_forbidden"
        return cls(loc, message, kind=kind)


def _invalid(detail: dict[str, Any]) -> Response[Any]:
    return Response(
        {
            "exception_message": "Invalid request received.",
            "exception_detail": [detail],
            "request_body": None,
        },
        status_code=422,
    )


def _on_invalid(_: Request[Any, Any, Any], error: InvalidRequest) -> Response[Any]:
    return _invalid(error.detail)


def _on_litestar_validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, msgspec.MsgspecError):
        return _invalid(InvalidRequest.from_msgspec(cause).detail)
    extra = error.extra if isinstance(error.extra, list) and error.extra else [{}]
    first = extra[0] if isinstance(extra[0], dict) else {}
    message = str(first.get("message") or error.detail)
    inner = InvalidRequest.from_msgspec(ValueError(message), source=str(first.get("source", "body")))
    loc = inner.detail["loc"]
    if isinstance(loc, list) and first.get("key"):
        loc.extend(part for part in str(first["key"]).split(".") if part not in ("data", "body"))
    return _invalid({**inner.detail, "type": "value_error"})


def _on_serialization(_: Request[Any, Any, Any], error: SerializationException) -> Response[Any]:
    cause = error.__cause__ or error.__context__
    return _invalid(InvalidRequest.from_msgspec(cause if isinstance(cause, Exception) else error).detail)


def _on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if isinstance(error, ClientException) and isinstance(
        error.__cause__ or error.__context__, SerializationException | msgspec.MsgspecError
    ):
        inner = error.__cause__ or error.__context__
        cause = inner.__cause__ or inner.__context__ or inner
        return _invalid(InvalidRequest.from_msgspec(cause if isinstance(cause, Exception) else error).detail)
    return Response({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def _on_not_found(_: Request[Any, Any, Any], error: NotFound) -> Response[Any]:
    return Response({"detail": str(error)}, status_code=404)


def _on_conflict(_: Request[Any, Any, Any], error: Conflict) -> Response[Any]:
    return Response({"detail": f"Data integrity conflict. {error}"}, status_code=409)


def _on_invalid_value(_: Request[Any, Any, Any], error: InvalidValue) -> Response[Any]:
    return _invalid({"type": "value_error", "loc": ["body"], "msg": str(error)})


def _on_busy(_: Request[Any, Any, Any], error: Busy) -> Response[Any]:
    return Response(
        {"exception_message": "Service Unavailable", "exception_detail": str(error)},
        status_code=503,
        headers={"Retry-After": f"{error.retry_after:g}"},
    )


def _on_unavailable(_: Request[Any, Any, Any], error: Unavailable) -> Response[Any]:
    _log.warning("store unavailable", store=error.store, error=str(error))
    return Response(
        {
            "exception_message": "Service Unavailable",
            "exception_detail": f"{error.store} does not answer: {error}",
        },
        status_code=503,
        headers={"Retry-After": "1"},
    )


def _on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("unexpected error", method=request.method, path=request.url.path, exc_info=error)
    return Response({"exception_message": "Internal Server Error"}, status_code=500)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    InvalidRequest: _on_invalid,
    ValidationException: _on_litestar_validation,
    SerializationException: _on_serialization,
    HTTPException: _on_http,
    NotFound: _on_not_found,
    Conflict: _on_conflict,
    InvalidValue: _on_invalid_value,
    Busy: _on_busy,
    Unavailable: _on_unavailable,
    Exception: _on_unexpected,
}
