"""Who made what a request makes."""

import base64
import binascii
import uuid
from typing import Any

from litestar import Request

from app.wire.runs import CreatedBy


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
