"""Automations. There are none yet: what asks for them is answered truly, and what would make or
change one is refused. Clients ask at every deployment, to clear away what the last one left."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.wire.base import PAGE_LIMIT, Json

_NOT_YET = "Automations are not there yet: this server keeps none."


class AutomationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the filter route, as far as it is looked at."""

    limit: int = PAGE_LIMIT


_QUERY = msgspec.json.Decoder(AutomationQuery)
# Not looked at.
_ANY = msgspec.json.Decoder(Json)


def _missing() -> Response[Json]:
    return Response({"exception_message": "Automation not found"}, status_code=404)


def _not_yet() -> HTTPException:
    return HTTPException(status_code=501, detail=_NOT_YET)


@post("/automations/filter", status_code=200, operation_class=takes(_QUERY))
async def read_many(request: Request[Any, Any, Any]) -> list[Json]:
    """None."""
    check_limit((await decode_body(request, _QUERY)).limit)
    return []


@post("/automations/count", status_code=200, operation_class=takes(_QUERY))
async def count() -> int:
    """None."""
    return 0


@get("/automations/related-to/{resource_id:str}")
async def read_related(resource_id: str) -> list[Json]:
    """None is about the resource."""
    return []


@delete("/automations/owned-by/{resource_id:str}", status_code=202)
async def delete_owned(resource_id: str) -> None:
    """None is owned by the resource, so none is left of it."""


@get("/automations/{automation_id:uuid}")
async def read() -> Response[Json]:
    """It is not there."""
    return _missing()


@delete("/automations/{automation_id:uuid}", status_code=200)
async def delete_one() -> Response[Json]:
    """It is not there."""
    return _missing()


@patch("/automations/{automation_id:uuid}", status_code=200, operation_class=takes(_ANY))
async def enable() -> Response[Json]:
    """It is not there."""
    return _missing()


@post("/automations/", status_code=201, operation_class=takes(_ANY))
async def create() -> Json:
    """501."""
    raise _not_yet()


@put("/automations/{automation_id:uuid}", status_code=204, operation_class=takes(_ANY))
async def replace() -> None:
    """501."""
    raise _not_yet()


ROUTES: list[ControllerRouterHandler] = [
    read_many,
    count,
    read_related,
    delete_owned,
    read,
    delete_one,
    enable,
    create,
    replace,
]
