"""Saved searches."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.saved_searches import SavedSearch, SavedSearchCreate, SavedSearchQuery
from storage.postgres import saved_searches
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(SavedSearchCreate)
_QUERY = msgspec.json.Decoder(SavedSearchQuery)


@put("/saved_searches/", status_code=201, operation_class=takes(_CREATE, also=200))
async def save(request: Request[Any, Any, Any], services: Services) -> Response[SavedSearch]:
    """Keep a search under its name: 201, or 200 when the name had another before."""
    create = await decode_body(request, _CREATE)
    async with connection(services.pool) as conn:
        saved, new = await saved_searches.put_saved_search(conn, create, id=new_id(), now=utc_now())
    return Response(saved, status_code=201 if new else 200)


@get("/saved_searches/{saved_search_id:uuid}")
async def read(saved_search_id: UUID, services: Services) -> SavedSearch:
    """One search."""
    async with connection(services.pool) as conn:
        return await saved_searches.read_saved_search(conn, saved_search_id)


@post("/saved_searches/filter", status_code=200, operation_class=takes(_QUERY))
async def read_all(request: Request[Any, Any, Any], services: Services) -> list[SavedSearch]:
    """Searches by name."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await saved_searches.select_saved_searches(conn, query)


@delete("/saved_searches/{saved_search_id:uuid}", status_code=204)
async def delete_one(saved_search_id: UUID, services: Services) -> None:
    """Delete a search."""
    async with connection(services.pool) as conn:
        await saved_searches.delete_saved_search(conn, saved_search_id)


ROUTES: list[ControllerRouterHandler] = [save, read, read_all, delete_one]
