"""The workers of a work pool."""

from typing import Any

import msgspec
from litestar import Request, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.orchestration.work_pools import record_heartbeat
from app.services import Services
from app.wire.base import utc_now
from app.wire.work_pools import Worker, WorkerHeartbeat, WorkerQuery
from storage.postgres import workers
from storage.postgres.pool import connection
from storage.postgres.work_pools import read_pool

_heartbeat_decoder = msgspec.json.Decoder(WorkerHeartbeat)
_query_decoder = msgspec.json.Decoder(WorkerQuery)


@post(
    "/work_pools/{pool_name:str}/workers/heartbeat",
    status_code=204,
    operation_class=takes(_heartbeat_decoder),
)
async def heartbeat(
    pool_name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """A worker is there; the first time it says so, it is known."""
    beat = await decode_body(request, _heartbeat_decoder)
    event_ids = await record_heartbeat(services.pool, pool_name, beat, now=utc_now())
    services.events.announce(event_ids)


@post(
    "/work_pools/{pool_name:str}/workers/filter",
    status_code=200,
    operation_class=takes(_query_decoder),
)
async def filter_workers(
    pool_name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[Worker]:
    """Workers of the pool that match, the one heard last first."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        of_pool = await read_pool(conn, pool_name)
        return await workers.select_workers(conn, query, work_pool_id=of_pool.id)


@delete("/work_pools/{pool_name:str}/workers/{name:str}", status_code=204)
async def delete_worker(
    pool_name: FromPath[str], name: FromPath[str], services: NamedDependency[Services]
) -> None:
    """Forget a worker."""
    async with connection(services.pool) as conn:
        of_pool = await read_pool(conn, pool_name)
        await workers.delete_worker(conn, of_pool.id, name)


ROUTES: list[ControllerRouterHandler] = [heartbeat, filter_workers, delete_worker]
