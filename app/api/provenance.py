"""Who asks: what made what a request makes, and which client it is."""

import base64
import binascii
import re
import uuid
from functools import lru_cache
from typing import Any

from litestar import Request

from app.wire.facts import Client
from app.wire.runs import CreatedBy

_USER_AGENT = re.compile(r"prefect/(\d+\.\d+\.\d+(?:[a-z.+0-9]+)?) \(API \S+\)")


def client_of(request: Request[Any, Any, Any]) -> Client:
    """The version of the client that asks, as far as it says."""
    return _client(
        request.headers.get("user-agent", ""), request.headers.get("x-prefect-api-version", "")
    )


# Many requests, few kinds of clients.
@lru_cache(maxsize=256)
def _client(user_agent: str, api_version: str) -> Client:
    said = _USER_AGENT.fullmatch(user_agent)
    numbers = api_version.split(".")
    known = len(numbers) == 3 and all(number.isdecimal() for number in numbers)
    return Client(
        version=said[1] if said is not None else None,
        api_version=(int(numbers[0]), int(numbers[1]), int(numbers[2])) if known else None,
    )


def author_of(request: Request[Any, Any, Any]) -> CreatedBy | None:
    """The automation that the client says it acts for, if it says so in full: its id, and its name
    in base64."""
    id, name = (
        request.headers.get("prefect-automation-id"),
        request.headers.get("prefect-automation-name"),
    )
    if not id or not name:
        return None
    try:
        display = base64.b64decode(name, validate=True).decode()
        return CreatedBy(id=uuid.UUID(id), type="AUTOMATION", display_value=display)
    except (binascii.Error, ValueError):
        return None
