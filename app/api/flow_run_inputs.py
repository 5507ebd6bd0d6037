"""What somebody tells a run while it waits."""

import re
from typing import Any
from uuid import UUID

import msgspec
from litestar import MediaType, Request, Response, delete, get, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.runs import FlowRunInput, FlowRunInputCreate, FlowRunInputQuery
from storage.errors import Conflict
from storage.postgres import flow_run_inputs
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(FlowRunInputCreate)
_QUERY = msgspec.json.Decoder(FlowRunInputQuery)
_KEY = re.compile(r"[a-z0-9-]*")


@post("/flow_runs/{flow_run_id:uuid}/input", status_code=201, operation_class=takes(_CREATE))
async def create_input(
    flow_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> None:
    """Keep a text under a key that the run does not have yet."""
    body = await decode_body(request, _CREATE)
    if not _KEY.fullmatch(body.key):
        raise InvalidRequest(
            ["body", "key"], "key must only contain lower case letters, numbers, and dashes."
        )
    try:
        async with connection(services.pool) as conn:
            await flow_run_inputs.insert_flow_run_input(
                conn, flow_run_id, body, id=new_id(), now=utc_now()
            )
    except Conflict as error:
        raise _refused(error) from error


def _refused(error: Conflict) -> HTTPException:
    if error.constraint == "flow_run_input_key_is_unique":
        return HTTPException(
            status_code=409, detail="A flow run input with this key already exists."
        )
    return HTTPException(status_code=404, detail="Flow run not found")


@get("/flow_runs/{flow_run_id:uuid}/input/{key:str}", media_type=MediaType.TEXT)
async def read_input(flow_run_id: UUID, key: str, services: Services) -> Response[str]:
    """The text as it was kept; clients put JSON into it."""
    async with connection(services.pool) as conn:
        value = await flow_run_inputs.read_flow_run_input(conn, flow_run_id, key)
    return Response(value, media_type="text/plain; charset=utf-8")


@post("/flow_runs/{flow_run_id:uuid}/input/filter", status_code=200, operation_class=takes(_QUERY))
async def filter_inputs(
    flow_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> list[FlowRunInput]:
    """Inputs whose keys begin with a prefix, oldest first."""
    query = await decode_body(request, _QUERY)
    async with connection(services.pool) as conn:
        return await flow_run_inputs.select_flow_run_inputs(conn, flow_run_id, query)


@delete("/flow_runs/{flow_run_id:uuid}/input/{key:str}", status_code=204)
async def delete_input(flow_run_id: UUID, key: str, services: Services) -> None:
    """Forget the text under a key."""
    async with connection(services.pool) as conn:
        await flow_run_inputs.delete_flow_run_input(conn, flow_run_id, key)


ROUTES: list[ControllerRouterHandler] = [create_input, read_input, filter_inputs, delete_input]
