"""What the user interface shows beside each flow of a list."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.flows import FlowIds, NextRun
from storage.postgres import flows
from storage.postgres.pool import connection

_IDS = msgspec.json.Decoder(FlowIds)


@post("/ui/flows/count-deployments", status_code=200, operation_class=takes(_IDS))
async def count_deployments(request: Request[Any, Any, Any], services: Services) -> dict[UUID, int]:
    """How many deployments each flow has."""
    body = await decode_body(request, _IDS)
    async with connection(services.pool) as conn:
        return await flows.count_deployments_of(conn, body.flow_ids)


@post("/ui/flows/next-runs", status_code=200, operation_class=takes(_IDS))
async def next_runs(
    request: Request[Any, Any, Any], services: Services
) -> dict[UUID, NextRun | None]:
    """The run of each flow that is due first."""
    body = await decode_body(request, _IDS)
    async with connection(services.pool) as conn:
        return await flows.next_runs_of(conn, body.flow_ids)


ROUTES: list[ControllerRouterHandler] = [count_deployments, next_runs]
