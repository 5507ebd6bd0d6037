"""Schedules of a deployment. Whatever changes them takes back the runs that wait for them."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.orchestration.deployment_schedules import (
    create_schedules,
    delete_schedule,
    update_schedule,
)
from app.orchestration.scheduling import schedule_deployment
from app.services import Services
from app.wire.base import utc_now
from app.wire.deployments import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    ScheduleNow,
)
from storage.errors import Conflict, NotFound
from storage.postgres import deployments
from storage.postgres.deployment_schedules import select_schedules
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(list[DeploymentScheduleCreate])
_UPDATE = msgspec.json.Decoder(DeploymentScheduleUpdate)
_SCHEDULE = msgspec.json.Decoder(ScheduleNow)


def _slug_taken() -> HTTPException:
    return HTTPException(
        status_code=409, detail="Schedule slugs must be unique within a deployment."
    )


@get("/deployments/{deployment_id:uuid}/schedules")
async def read_schedules(deployment_id: UUID, services: Services) -> list[DeploymentSchedule]:
    """All of them, the newest change first."""
    async with connection(services.pool) as conn:
        schedules = await select_schedules(conn, deployment_id)
        if not schedules:
            try:
                await deployments.read_deployment(conn, deployment_id)
            except NotFound as error:
                raise NotFound("Deployment not found.") from error
    return schedules


@post(
    "/deployments/{deployment_id:uuid}/schedules", status_code=201, operation_class=takes(_CREATE)
)
async def create(
    deployment_id: UUID, request: Request[Any, Any, Any], services: Services
) -> list[DeploymentSchedule]:
    """Add schedules; 409 for a slug that the deployment has already."""
    if not await request.body():
        raise InvalidRequest(["body"], "Field required", kind="missing")
    creates = await decode_body(request, _CREATE)
    try:
        return await create_schedules(services.pool, deployment_id, creates, now=utc_now())
    except Conflict as error:
        raise _slug_taken() from error


@patch(
    "/deployments/{deployment_id:uuid}/schedules/{schedule_id:uuid}",
    status_code=204,
    operation_class=takes(_UPDATE),
)
async def update(
    deployment_id: UUID, schedule_id: UUID, request: Request[Any, Any, Any], services: Services
) -> None:
    """Change what the body says and is not null."""
    body = await decode_body(request, _UPDATE)
    try:
        await update_schedule(services.pool, deployment_id, schedule_id, body, now=utc_now())
    except Conflict as error:
        raise _slug_taken() from error


@delete("/deployments/{deployment_id:uuid}/schedules/{schedule_id:uuid}", status_code=204)
async def delete_one(deployment_id: UUID, schedule_id: UUID, services: Services) -> None:
    """Delete a schedule."""
    await delete_schedule(services.pool, deployment_id, schedule_id)


@post(
    "/deployments/{deployment_id:uuid}/schedule",
    status_code=200,
    operation_class=takes(_SCHEDULE),
)
async def schedule_now(
    deployment_id: UUID, request: Request[Any, Any, Any], services: Services
) -> None:
    """Make the runs between two times now, past ones too. A deployment that is not there has none."""
    asked = await decode_body(request, _SCHEDULE)
    now = utc_now()
    horizon = services.scheduling.horizon
    start = asked.start_time or now
    try:
        end = asked.end_time or start + horizon.max_scheduled_time
    except OverflowError:
        raise InvalidRequest(["body", "start_time"], "a time that leaves the calendar") from None
    try:
        await schedule_deployment(
            services.pool,
            deployment_id,
            start=start,
            end=end,
            min_time=(
                horizon.min_scheduled_time
                if asked.min_time is None
                else dt.timedelta(seconds=asked.min_time)
            ),
            min_runs=horizon.min_runs if asked.min_runs is None else asked.min_runs,
            max_runs=horizon.max_runs if asked.max_runs is None else asked.max_runs,
            batch=services.scheduling.batch,
            now=now,
        )
    except ValueError as error:
        raise InvalidRequest(["body"], f"a schedule gives no dates: {error}") from error


ROUTES: list[ControllerRouterHandler] = [
    read_schedules,
    create,
    update,
    delete_one,
    schedule_now,
]
