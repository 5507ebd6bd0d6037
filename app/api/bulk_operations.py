"""Delete many, or propose a state to many, at once: at most 50 that match a filter."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.provenance import client_of
from app.orchestration.deletion import delete_flow_runs, delete_flows
from app.orchestration.transition import set_flow_run_state
from app.rules import flow_policy
from app.services import Services
from app.wire.base import utc_now
from app.wire.bulk import (
    Deleted,
    FlowBulkDelete,
    FlowRunBulkDelete,
    FlowRunBulkSetState,
    FlowRunResult,
    FlowRunResults,
)
from app.wire.filters import FlowQuery, FlowRunQuery
from app.wire.results import AbortDetails, OrchestrationResult
from storage.errors import Busy, NotFound
from storage.postgres import flow_runs, flows
from storage.postgres.pool import connection

_DELETE_RUNS = msgspec.json.Decoder(FlowRunBulkDelete)
_DELETE_FLOWS = msgspec.json.Decoder(FlowBulkDelete)
_SET_STATE = msgspec.json.Decoder(FlowRunBulkSetState)


@post("/flow_runs/bulk_delete", status_code=200, operation_class=takes(_DELETE_RUNS))
async def delete_many_runs(request: Request[Any, Any, Any], services: Services) -> Deleted:
    """Delete the newest runs that match."""
    body = await decode_body(request, _DELETE_RUNS)
    query = FlowRunQuery(flow_runs=body.flow_runs, limit=body.limit)
    now = utc_now()
    async with connection(services.pool) as conn:
        found = await flow_runs.select_flow_runs(conn, query, now=now)
    return Deleted(
        deleted=await delete_flow_runs(services.pool, [run.id for run in found], now=now)
    )


@post("/flows/bulk_delete", status_code=200, operation_class=takes(_DELETE_FLOWS))
async def delete_many_flows(request: Request[Any, Any, Any], services: Services) -> Deleted:
    """Delete the first flows, by name, that match, with their deployments and runs."""
    body = await decode_body(request, _DELETE_FLOWS)
    async with connection(services.pool) as conn:
        found = await flows.select_flows(conn, FlowQuery(flows=body.flows, limit=body.limit))
    deleted, told = await delete_flows(services.pool, [flow.id for flow in found], now=utc_now())
    services.events.announce(told)
    return Deleted(deleted=deleted)


@post("/flow_runs/bulk_set_state", status_code=200, operation_class=takes(_SET_STATE))
async def set_many_states(request: Request[Any, Any, Any], services: Services) -> FlowRunResults:
    """Propose the state to the newest runs that match, one after another: what becomes of one is
    no matter to the next."""
    body = await decode_body(request, _SET_STATE)
    policy = flow_policy.MINIMAL if body.force else flow_policy.CORE
    query = FlowRunQuery(flow_runs=body.flow_runs, limit=body.limit)
    async with connection(services.pool) as conn:
        found = await flow_runs.select_flow_runs(conn, query, now=utc_now())
    results = []
    for run in found:
        now = utc_now()
        try:
            result = await set_flow_run_state(
                services.pool, run.id, body.state, now=now, policy=policy, client=client_of(request)
            )
        except (NotFound, Busy) as error:
            details = AbortDetails(reason=str(error))
            result = OrchestrationResult(state=None, status="ABORT", details=details)
        if result.state is not None and result.state.timestamp >= now:
            services.events.announce([result.state.id])
        results.append(
            FlowRunResult(
                flow_run_id=run.id,
                status=result.status,
                state=result.state,
                details=result.details,
            )
        )
    return FlowRunResults(results=results)


ROUTES: list[ControllerRouterHandler] = [delete_many_runs, delete_many_flows, set_many_states]
