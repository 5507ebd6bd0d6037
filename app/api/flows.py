"""Flows."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.telling import telling
from app.orchestration.deletion import delete_flows
from app.orchestration.object_events import flow_event
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.filters import FlowPageQuery, FlowQuery, Selection
from app.wire.flows import Flow, FlowCreate, FlowPage, FlowUpdate
from storage.errors import NotFound
from storage.postgres import flows
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(FlowCreate)
_UPDATE = msgspec.json.Decoder(FlowUpdate)
_QUERY = msgspec.json.Decoder(FlowQuery)
_PAGE_QUERY = msgspec.json.Decoder(FlowPageQuery)
_SELECTION = msgspec.json.Decoder(Selection)


@post("/flows/", status_code=201, operation_class=takes(_CREATE, also=200))
async def create_flow(request: Request[Any, Any, Any], services: Services) -> Response[Flow]:
    """The flow of that name: 201 when it was made now, 200 when it was known."""
    create = await decode_body(request, _CREATE)
    # Every run asks for its flow, which nearly always is there.
    async with connection(services.pool) as conn:
        known = await flows.find_flow(conn, create.name)
    if known is not None:
        return Response(known, status_code=200)
    now = utc_now()
    async with telling(services) as (conn, events):
        flow, created = await flows.get_or_create_flow(conn, create, id=new_id(), now=now)
        if created:
            events.append(flow_event("created", flow, now=now))
    return Response(flow, status_code=201 if created else 200)


@get("/flows/{flow_id:uuid}")
async def read_flow(flow_id: UUID, services: Services) -> Flow:
    """One flow."""
    async with connection(services.pool) as conn:
        return await flows.read_flow(conn, flow_id)


@get("/flows/name/{name:str}")
async def read_flow_by_name(name: str, services: Services) -> Flow:
    """The flow of that name."""
    async with connection(services.pool) as conn:
        return await flows.read_flow_by_name(conn, name)


@patch("/flows/{flow_id:uuid}", status_code=204, operation_class=takes(_UPDATE))
async def update_flow(flow_id: UUID, request: Request[Any, Any, Any], services: Services) -> None:
    """Change the tags of a flow."""
    update = await decode_body(request, _UPDATE)
    now = utc_now()
    async with telling(services) as (conn, events):
        changed = await flows.update_flow(conn, flow_id, update, now=now)
        events.append(flow_event("updated", changed, now=now))


@delete("/flows/{flow_id:uuid}", status_code=204)
async def delete_flow(flow_id: UUID, services: Services) -> None:
    """Delete a flow with its runs and their logs."""
    deleted, told = await delete_flows(services.pool, [flow_id], now=utc_now())
    if not deleted:
        raise NotFound("Flow not found")
    services.events.announce(told)


@post("/flows/filter", status_code=200, operation_class=takes(_QUERY))
async def filter_flows(request: Request[Any, Any, Any], services: Services) -> list[Flow]:
    """Flows that match."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await flows.select_flows(conn, query)


@post("/flows/paginate", status_code=200, operation_class=takes(_PAGE_QUERY))
async def paginate_flows(request: Request[Any, Any, Any], services: Services) -> FlowPage:
    """A page of the flows that match, and how many there are."""
    query = await decode_body(request, _PAGE_QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await flows.page_of_flows(conn, query)


@post("/flows/count", status_code=200, operation_class=takes(_SELECTION))
async def count_flows(request: Request[Any, Any, Any], services: Services) -> int:
    """How many flows match."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await flows.count_flows(conn, selection)


ROUTES: list[ControllerRouterHandler] = [
    create_flow,
    read_flow,
    read_flow_by_name,
    update_flow,
    delete_flow,
    filter_flows,
    paginate_flows,
    count_flows,
]
