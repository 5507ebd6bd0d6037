"""What OTLP's exporters are told when nothing was taken: a `google.rpc.Status` in the form of the
request, whoever refuses. A body that cannot be read is 400 there, not 422. They try again after 503
with the `Retry-After` that says when, and drop what gets any other error.
"""

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.api.otlp import PATH, form_of
from app.api.otlp_bodies import JSON, encode_status

PATHS = frozenset({PATH, f"/api{PATH}"})
# The codes of gRPC: INVALID_ARGUMENT, UNAUTHENTICATED, RESOURCE_EXHAUSTED, UNAVAILABLE, INTERNAL, UNKNOWN.
_CODES = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 500: 13, 503: 14}
_UNKNOWN = 2
_KEPT_HEADERS = frozenset({b"retry-after", b"connection", b"accept-encoding"})


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What our errors have in common; the first that is there says most."""

    detail: str | None = None
    exception_detail: str | list[dict[str, msgspec.Raw]] | None = None
    exception_message: str | None = None


class OtlpRefusals:
    """Hands requests on; puts refusals of exports into OTLP's form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http" or scope["path"] not in PATHS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        given = next((v for name, v in scope["headers"] if name == b"content-type"), b"")
        content_type = form_of(given.decode("latin-1")) or JSON
        await self._app(scope, receive, _translating(send, content_type))


def _translating(send: Send, content_type: str) -> Send:
    refused = 0
    headers: list[tuple[bytes, bytes]] = []
    parts: list[bytes] = []

    async def translated(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] >= 400:
            refused = 400 if message["status"] == 422 else message["status"]
            headers.extend(
                (name, value) for name, value in message["headers"] if name.lower() in _KEPT_HEADERS
            )
            return
        if not refused or message["type"] != "http.response.body":
            await send(message)
            return
        parts.append(message["body"])
        if message["more_body"]:
            return
        said = _said(b"".join(parts))
        body = encode_status(_CODES.get(refused, _UNKNOWN), said, content_type)
        headers.append((b"content-type", content_type.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": refused, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return translated


def _said(answer: bytes) -> str:
    """The sentence in one of our own refusals."""
    refusal = msgspec.json.decode(answer, type=_Refusal)
    detail = refusal.detail or refusal.exception_detail
    if isinstance(detail, list):
        detail = "; ".join(msgspec.json.decode(each["msg"], type=str) for each in detail)
    return detail or refusal.exception_message or "the request was refused"
