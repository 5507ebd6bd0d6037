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

from app.orchestration.refusal import Kind, Refused
from storage.errors import (
    Busy,
    Conflict,
    InvalidValue,
    LinesUnreadable,
    NoKey,
    NotFound,
    TooMany,
    Unavailable,
)

# A store that is restarting is back within seconds.
UNAVAILABLE_RETRY_SECONDS = 1.0

_log = structlog.get_logger("tailrace.api")
_REFUSALS: dict[Kind, int] = {"bad_request": 400, "conflict": 409, "unprocessable": 422}
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING_PARAMETER = re.compile(r"required query parameter '([^']+)'")
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
        # What a struct checks of its own fields begins with the field's name, or the path to it.
        named = re.match(r"`([^`]+)` ", message)
        if named:
            loc.extend(named[1].split("."))
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


def _on_litestar_validation(
    request: Request[Any, Any, Any], error: ValidationException
) -> Response[Any]:
    # Bodies of GET are not read, so what is wrong there is a parameter of the query.
    source = "query" if request.method == "GET" else "body"
    missing = _MISSING_PARAMETER.search(error.detail)
    if missing:
        return _invalid({"type": "missing", "loc": ["query", missing[1]], "msg": "Field required"})
    cause = error.__cause__ or error.__context__
    if isinstance(cause, msgspec.MsgspecError):
        return _invalid(InvalidRequest.from_msgspec(cause, source=source).detail)
    extra = error.extra if isinstance(error.extra, list) and error.extra else [{}]
    first = extra[0] if isinstance(extra[0], dict) else {}
    message = str(first.get("message") or error.detail)
    inner = InvalidRequest.from_msgspec(
        ValueError(message), source=str(first.get("source", source))
    )
    loc = inner.detail["loc"]
    if isinstance(loc, list) and first.get("key"):
        loc.extend(part for part in str(first["key"]).split(".") if part not in ("data", "body"))
    return _invalid({**inner.detail, "type": "value_error"})


def _on_serialization(_: Request[Any, Any, Any], error: SerializationException) -> Response[Any]:
    cause = error.__cause__ or error.__context__
    return _invalid(
        InvalidRequest.from_msgspec(cause if isinstance(cause, Exception) else error).detail
    )


def _on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    inner = error.__cause__ or error.__context__
    if isinstance(error, ClientException) and isinstance(
        inner, SerializationException | msgspec.MsgspecError
    ):
        cause = inner.__cause__ or inner.__context__ or inner
        return _invalid(
            InvalidRequest.from_msgspec(cause if isinstance(cause, Exception) else error).detail
        )
    return Response({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def error_response(error: Exception) -> Response[Any]:
    """The answer to an error of our own family, or to one that nobody expected, which is logged."""
    match error:
        case InvalidRequest():
            return _invalid(error.detail)
        case NotFound():
            return Response({"detail": str(error)}, status_code=404)
        case Refused():
            return Response({"detail": str(error)}, status_code=_REFUSALS[error.kind])
        case Conflict():
            return Response({"detail": f"Data integrity conflict. {error}"}, status_code=409)
        case TooMany():
            return Response({"detail": str(error)}, status_code=400)
        case InvalidValue():
            return _invalid({"type": "value_error", "loc": ["body"], "msg": str(error)})
        case NoKey():
            return Response({"detail": str(error)}, status_code=501)
        case Busy():
            return _try_later(str(error), error.retry_after)
        case LinesUnreadable():
            _log.error("log lines unreadable", object=error.key, error=str(error))
            return _lost(error)
        case Unavailable():
            _log.warning("store unavailable", store=error.store, error=str(error))
            return _try_later(f"{error.store} does not answer: {error}", UNAVAILABLE_RETRY_SECONDS)
        case _:
            _log.error("unexpected error", exc_info=error)
            return Response({"exception_message": "Internal Server Error"}, status_code=500)


def _lost(error: LinesUnreadable) -> Response[Any]:
    """Nobody knows when somebody will mend the object, so no time to try again is told."""
    return Response(
        {
            "exception_message": "Service Unavailable",
            "exception_detail": f"{error.store}: {error}",
            "unreadable": {
                "object": error.key,
                "flow_run_id": error.flow_run_id,
                "lines": error.rows,
                "first_timestamp": error.first,
                "last_timestamp": error.last,
            },
        },
        status_code=503,
    )


def _try_later(detail: str, retry_after: float) -> Response[Any]:
    return Response(
        {"exception_message": "Service Unavailable", "exception_detail": detail},
        status_code=503,
        headers={"Retry-After": f"{retry_after:g}"},
    )


def _on_ours(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    return error_response(error)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    ValidationException: _on_litestar_validation,
    SerializationException: _on_serialization,
    HTTPException: _on_http,
    Exception: _on_ours,
}
