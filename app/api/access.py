"""Who may call the API, and with which version of the protocol.

One shared secret, `user:password`, admits everybody who knows it: as HTTP Basic on requests, in
the first message on websockets (`app.api.websockets`). Health and readiness never ask for it, nor do
the files of the web UI; a download by ticket is judged by its ticket (`app.api.download_tickets`).
"""

import base64
import hmac
import re

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.download_tickets import DownloadTickets
from app.api.web_ui import is_open

OPEN_PATHS = frozenset({"/api/health", "/api/ready"})
_BY_TICKET = re.compile(r"/api/tailrace/logs/download/by-ticket/[A-Za-z0-9_-]+")
OLDEST_API_VERSION = (0, 8, 0)
CURRENT_API_VERSION = b"0.8.4"

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")


class Access:
    """The shared secret, compared in constant time. Without one everybody is admitted."""

    def __init__(self, auth_string: str | None) -> None:
        self._token = auth_string.encode() if auth_string is not None else None
        self.tickets = DownloadTickets(auth_string)
        self._credentials = base64.b64encode(self._token) if self._token is not None else b""

    @property
    def required(self) -> bool:
        """Whether there is a secret to know."""
        return self._token is not None

    def admits_header(self, authorization: bytes) -> bool:
        """Whether the value of an Authorization header holds the secret as HTTP Basic."""
        if self._token is None:
            return True
        scheme, _, credentials = authorization.partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(
            credentials.strip(), self._credentials
        )

    def admits_token(self, token: str | None) -> bool:
        """Whether a websocket's auth message holds the secret."""
        if self._token is None:
            return True
        # A lone surrogate can reach us in JSON; it equals no secret.
        return token is not None and hmac.compare_digest(
            token.encode("utf-8", "surrogatepass"), self._token
        )


class AccessMiddleware:
    """Refuses requests without the secret (401) or with a protocol too old or not named (400)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Put the check before `app`."""
        access = self._access

        async def admit(scope: Scope, receive: Receive, send: Send) -> None:
            # A browser asks with OPTIONS whether it may send credentials, and sends none with it.
            if (
                scope["type"] != "http"
                or scope["path"] in OPEN_PATHS
                or scope["method"] == "OPTIONS"
                or is_open(scope["method"], scope["path"])
                or (scope["method"] == "GET" and _BY_TICKET.fullmatch(scope["path"]))
            ):
                await app(scope, receive, send)
                return
            authorization = b""
            version = CURRENT_API_VERSION
            for name, value in scope["headers"]:
                if name == b"authorization":
                    authorization = value
                elif name == b"x-prefect-api-version":
                    version = value
            if access.required and not access.admits_header(authorization):
                await _refuse(send, 401, {"exception_message": "Unauthorized"})
                return
            # An empty header says as little as none.
            if version not in (b"", CURRENT_API_VERSION) and (
                complaint := version_complaint(version)
            ):
                await _refuse(send, 400, {"detail": complaint})
                return
            await app(scope, receive, send)

        return admit


def version_complaint(version: bytes) -> str | None:
    """What is wrong with an `X-PREFECT-API-VERSION` header; None when nothing is."""
    text = version.decode("latin-1")
    match = _VERSION.fullmatch(text)
    if match is None:
        return f"Invalid X-PREFECT-API-VERSION header: {text!r} is not of the form 'x.y.z'."
    if tuple(map(int, match.groups())) < OLDEST_API_VERSION:
        return f"API version {text} is too old: this server speaks 0.8.0 and newer."
    return None


async def _refuse(send: Send, status: int, body: dict[str, str]) -> None:
    content = msgspec.json.encode(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})
