"""Variables: by id and by name."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.telling import telling
from app.orchestration.object_events import variable_event
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.variables import (
    Variable,
    VariableCreate,
    VariableQuery,
    VariableSelection,
    VariableUpdate,
)
from storage.errors import Conflict
from storage.postgres import variables
from storage.postgres.pool import connection
from storage.postgres.variables import Which

_create_decoder = msgspec.json.Decoder(VariableCreate)
_update_decoder = msgspec.json.Decoder(VariableUpdate)
_query_decoder = msgspec.json.Decoder(VariableQuery)
_selection_decoder = msgspec.json.Decoder(VariableSelection)


@post("/variables/", status_code=201, operation_class=takes(_create_decoder))
async def create_variable(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Variable:
    """A new variable; 409 when the name is taken."""
    create = await decode_body(request, _create_decoder)
    now = utc_now()
    try:
        async with telling(services) as (conn, events):
            made = await variables.insert_variable(conn, create, id=new_id(), now=now)
            events.append(variable_event("created", made, now=now))
    except Conflict as error:
        raise HTTPException(
            status_code=409, detail=f"A variable with the name {create.name!r} already exists."
        ) from error
    return made


@get("/variables/{id:uuid}")
async def read_variable(id: FromPath[UUID], services: NamedDependency[Services]) -> Variable:
    """One variable."""
    async with connection(services.pool) as conn:
        return await variables.read_variable(conn, Which(id=id))


@get("/variables/name/{name:str}")
async def read_variable_by_name(
    name: FromPath[str], services: NamedDependency[Services]
) -> Variable:
    """One variable; that there is none is a normal answer to clients."""
    async with connection(services.pool) as conn:
        return await variables.read_variable(conn, Which(name=name))


@patch("/variables/{id:uuid}", status_code=204, operation_class=takes(_update_decoder))
async def update_variable(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names."""
    await _update(Which(id=id), request, services)


@patch("/variables/name/{name:str}", status_code=204, operation_class=takes(_update_decoder))
async def update_variable_by_name(
    name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names."""
    await _update(Which(name=name), request, services)


async def _update(which: Which, request: Request[Any, Any, Any], services: Services) -> None:
    update = await decode_body(request, _update_decoder)
    now = utc_now()
    async with telling(services) as (conn, events):
        changed = await variables.update_variable(conn, which, update, now=now)
        events.append(variable_event("updated", changed, now=now))


async def _delete(which: Which, services: Services) -> None:
    async with telling(services) as (conn, events):
        gone = await variables.delete_variable(conn, which)
        events.append(variable_event("deleted", gone, now=utc_now()))


@delete("/variables/{id:uuid}")
async def delete_variable(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it."""
    await _delete(Which(id=id), services)


@delete("/variables/name/{name:str}")
async def delete_variable_by_name(name: FromPath[str], services: NamedDependency[Services]) -> None:
    """Delete it."""
    await _delete(Which(name=name), services)


@post("/variables/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_variables(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[Variable]:
    """A page of the variables that match."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await variables.select_variables(conn, query)


@post("/variables/count", status_code=200, operation_class=takes(_selection_decoder))
async def count_variables(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> int:
    """How many match."""
    selection = await decode_body(request, _selection_decoder)
    async with connection(services.pool) as conn:
        return await variables.count_variables(conn, selection.variables)


ROUTES: list[ControllerRouterHandler] = [
    create_variable,
    read_variable,
    read_variable_by_name,
    update_variable,
    update_variable_by_name,
    delete_variable,
    delete_variable_by_name,
    read_variables,
    count_variables,
]
