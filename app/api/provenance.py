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
from app.wire.state_changes import StateAuthor

# What the web UI sends with its requests: a person is there.
UI_HEADER = "x-tailrace-client"
_PERSON = StateAuthor(kind="person")
_CLIENT = StateAuthor(kind="client")
_USER_AGENT = re.compile(r"prefect/(\d+\.\d+\.\d+(?:[a-z.+0-9]+)?) \(API \S+\)")


def client_of(request: Request[Any, Any, Any]) -> Client:
    """The version of the client that asks and who it is, as far as it says."""
    headers = request.headers
    automation = author_of(request)
    if automation is not None:
        author = StateAuthor(kind="automation", name=automation.display_value)
    elif headers.get(UI_HEADER) == "ui":
        author = _PERSON
    elif "x-prefect-flow-id" in headers:
        author = StateAuthor(kind="flow", name=headers.get("x-prefect-flow-name"))
    elif "x-prefect-worker-name" in headers:
        author = StateAuthor(kind="worker", name=headers["x-prefect-worker-name"])
    else:
        author = _CLIENT
    return _client(
        headers.get("user-agent", ""), headers.get("x-prefect-api-version", ""), author.text()
    )


# Many requests, few kinds of clients and names of flows.
@lru_cache(maxsize=1024)
def _client(user_agent: str, api_version: str, changed_by: str) -> Client:
    said = _USER_AGENT.fullmatch(user_agent)
    numbers = api_version.split(".")
    known = len(numbers) == 3 and all(number.isdecimal() for number in numbers)
    return Client(
        version=said[1] if said is not None else None,
        api_version=(int(numbers[0]), int(numbers[1]), int(numbers[2])) if known else None,
        changed_by=changed_by,
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
