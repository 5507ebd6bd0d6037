"""Deployments are made, changed and deleted; what waits because of them goes with the change.

One transaction each. The deployment's row is locked first, then its waiting runs are taken back,
then limits are touched: the order in which transitions take the same locks. Whoever changes a
deployment or its schedules nudges the scheduler, which makes the runs anew.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from app.orchestration.deployment_events import created_event, deleted_event, updated_event
from app.orchestration.parameters import OF_DEPLOYMENT, check_parameters, hydrated_parameters
from app.orchestration.refusal import Refused
from app.orchestration.schedule_patches import patch_schedules
from app.rules.job_variables import why_unfit
from app.rules.json_schema import CircularSchema, what_is_wrong, why_invalid, why_unusable
from app.wire.base import Json, new_id
from app.wire.deployments import (
    Deployment,
    DeploymentCreate,
    DeploymentUpdate,
)
from app.wire.flows import Flow
from app.wire.runs import CreatedBy
from app.wire.work_pools import DEFAULT_AGENT_POOL
from storage.errors import Busy, Conflict, InvalidValue, NotFound
from storage.postgres import concurrency, deployments
from storage.postgres.blocks import read_documents
from storage.postgres.deployment_schedules import delete_schedules, insert_schedules
from storage.postgres.deployments import OWN_LIMIT_PREFIX, LockedDeployment
from storage.postgres.events import insert_events
from storage.postgres.flows import read_flow
from storage.postgres.pool import Conn, Pool, transaction
from storage.postgres.scheduled_runs import delete_waiting_runs, nudge_scheduler
from storage.postgres.work_pools import read_pool
from storage.postgres.work_queues import ensure_work_queue

# What a new deployment has where nothing is said.
_DEFAULTS: Json = {
    "paused": False,
    "job_variables": {},
    "enforce_parameter_schema": True,
    "parameter_openapi_schema": {},
    "tags": [],
    "pull_steps": [],
    "status": "NOT_READY",
}
# Fields of a body that are columns under the same name.
_COLUMNS = (
    "version",
    "description",
    "paused",
    "concurrency_options",
    "enforce_parameter_schema",
    "parameter_openapi_schema",
    "tags",
    "pull_steps",
    "work_queue_name",
    "path",
    "entrypoint",
    "storage_document_id",
    "infrastructure_document_id",
)
# Somebody may delete what somebody else makes, but not for ever.
_ATTEMPTS = 5


async def apply_deployment(
    pool: Pool, create: DeploymentCreate, *, author: CreatedBy | None, now: dt.datetime
) -> tuple[Deployment, bool, list[uuid.UUID]]:
    """The deployment of that flow and name as the body says, whether it was made now, and the ids
    of the events that tell of it. Its schedules are replaced, and runs that wait for the old ones
    are taken back.

    Raises:
        NotFound: there is no such work pool or limit.
        Conflict: there is no such flow, or two schedules have the same slug.
        InvalidValue: the parameters do not fit the schema that comes with them.
        Refused: job variables do not fit the pool, or a block document is missing.
    """
    _check_own_parameters(create)
    async with transaction(pool) as conn:
        await _check_job_variables(conn, create)
        await _check_blocks(conn, create)
        try:
            flow = await read_flow(conn, create.flow_id)
        except NotFound as error:
            raise Conflict("deployment_flow_id_fkey", "There is no such flow.") from error
        columns = {**_said(create), "parameters": create.parameters}
        columns["labels"] = _labels(flow, create)
        if create.job_variables is not msgspec.UNSET:
            columns["job_variables"] = create.job_variables
        columns.update(await _shared_limit(conn, create.global_concurrency_limit_id))
        columns.update(await _queue_columns(conn, create, now))
        id, before = await _upserted(conn, create, columns, author, now)
        await insert_schedules(conn, id, create.schedules, now=now)
        await _set_limits(conn, id, create, before, now)
        after = await deployments.read_deployment(conn, id)
        around = await deployments.read_surroundings(conn, id)
        if before is None:
            event = created_event(after, around, now=now)
        else:
            event = updated_event(before, after, around, now=now)
        told = await insert_events(conn, [event] if event is not None else [])
        await nudge_scheduler(conn)
        return after, before is None, list(told)


async def _upserted(
    conn: Conn,
    create: DeploymentCreate,
    columns: Json,
    author: CreatedBy | None,
    now: dt.datetime,
) -> tuple[uuid.UUID, Deployment | None]:
    """The deployment's id, and what it was before; it has no schedules now, and is locked."""
    for _ in range(_ATTEMPTS):
        locked = await deployments.lock_deployment(conn, flow_id=create.flow_id, name=create.name)
        if locked is not None:
            before = await deployments.read_deployment(conn, locked.id)
            await delete_waiting_runs(conn, deployment_id=locked.id)
            changed = {**columns, "updated_by": author}
            await deployments.update_deployment(conn, locked.id, changed, now=now)
            await delete_schedules(conn, locked.id)
            return locked.id, before
        id = new_id()
        row = {
            **_DEFAULTS,
            **columns,
            "id": id,
            "created": now,
            "updated": now,
            "name": create.name,
            "flow_id": create.flow_id,
            "created_by": author,
        }
        if await deployments.insert_deployment(conn, row):
            return id, None
    raise Busy("The deployment is being made and deleted again and again.", retry_after=1.0)


async def update_deployment(
    pool: Pool, id: uuid.UUID, update: DeploymentUpdate, *, now: dt.datetime
) -> list[uuid.UUID]:
    """Change what the body says; the ids of the events that tell of it.

    Raises:
        NotFound: there is no such deployment, work pool or limit.
        Conflict: two schedules have the same slug.
        InvalidValue: parameters that are null.
        Refused: schedules, parameters or job variables do not fit.
    """
    if update.parameters is None:
        raise InvalidValue("The parameters of a deployment cannot be null.")
    async with transaction(pool) as conn:
        locked = await _locked(conn, id)
        before = await deployments.read_deployment(conn, id)
        columns = _said(update)
        if update.enforce_parameter_schema is None:
            del columns["enforce_parameter_schema"]
        await _check_patched_job_variables(conn, update)
        columns.update(await _parameter_columns(conn, before, update))
        if update.job_variables is not msgspec.UNSET and update.job_variables is not None:
            columns["job_variables"] = update.job_variables
        columns.update(await _shared_limit(conn, update.global_concurrency_limit_id))
        columns.update(await _queue_columns(conn, update, now))
        if update.work_pool_name is None:
            # Runs go to no pool any more.
            columns["work_queue_id"] = None
        await delete_waiting_runs(conn, deployment_id=id)
        await deployments.update_deployment(conn, id, columns, now=now)
        if update.schedules is not msgspec.UNSET:
            await patch_schedules(conn, id, before.schedules, update.schedules, now=now)
        await _set_limits(conn, locked.id, update, before, now)
        return await _tell_update(conn, before, now)


async def set_paused(
    pool: Pool, id: uuid.UUID, *, paused: bool, now: dt.datetime
) -> list[uuid.UUID]:
    """Pause or resume; the ids of the events that tell of it. Pausing takes back all that its
    schedules made and nobody started, late runs too.

    Raises:
        NotFound: there is no such deployment.
    """
    async with transaction(pool) as conn:
        await _locked(conn, id, "Deployment not found")
        before = await deployments.read_deployment(conn, id)
        if paused:
            await delete_waiting_runs(conn, deployment_id=id, future_only=False)
        await deployments.update_deployment(conn, id, {"paused": paused}, now=now)
        return await _tell_update(conn, before, now)


async def delete_deployments(
    pool: Pool, ids: Sequence[uuid.UUID], *, now: dt.datetime
) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Delete those of these that are there, with their schedules, their own limits and all runs
    that were never started; their ids, and those of the events that tell of it."""
    async with transaction(pool) as conn:
        found: list[uuid.UUID] = []
        # In one order, so that two who delete the same do not wait for each other in a ring.
        for id in sorted(ids):
            if await deployments.lock_deployment(conn, id=id) is not None:
                found.append(id)
                await delete_waiting_runs(
                    conn, deployment_id=id, future_only=False, auto_scheduled_only=False
                )
        if not found:
            return [], []
        events = [
            deleted_event(each, await deployments.read_surroundings(conn, each.id), now=now)
            for each in await deployments.read_deployments(conn, found)
        ]
        await deployments.delete_deployments(conn, found)
        return found, list(await insert_events(conn, events))


async def _locked(
    conn: Conn, id: uuid.UUID, missing: str = "Deployment not found."
) -> LockedDeployment:
    locked = await deployments.lock_deployment(conn, id=id)
    if locked is None:
        raise NotFound(missing)
    return locked


async def _tell_update(conn: Conn, before: Deployment, now: dt.datetime) -> list[uuid.UUID]:
    after = await deployments.read_deployment(conn, before.id)
    around = await deployments.read_surroundings(conn, before.id)
    event = updated_event(before, after, around, now=now)
    told = await insert_events(conn, [event] if event is not None else [])
    await nudge_scheduler(conn)
    return list(told)


def _said(body: DeploymentCreate | DeploymentUpdate) -> Json:
    return {
        field: value for field in _COLUMNS if (value := getattr(body, field)) is not msgspec.UNSET
    }


def _labels(flow: Flow, create: DeploymentCreate) -> Json:
    return {**flow.labels, "prefect.flow.id": str(flow.id), **(create.labels or {})}


async def _queue_columns(
    conn: Conn, body: DeploymentCreate | DeploymentUpdate, now: dt.datetime
) -> Json:
    pool_name = body.work_pool_name or None
    queue_name = body.work_queue_name or None
    queue = await ensure_work_queue(
        conn,
        pool_name=pool_name if isinstance(pool_name, str) else None,
        queue_name=queue_name if isinstance(queue_name, str) else None,
        now=now,
    )
    return {"work_queue_id": queue.id} if queue is not None else {}


# Limits -------------------------------------------------------------------------------------------


async def _shared_limit(conn: Conn, id: uuid.UUID | None | msgspec.UnsetType) -> Json:
    if id is msgspec.UNSET:
        return {}
    if id is not None and await concurrency.read_limit(conn, id=id) is None:
        raise NotFound("Concurrency limit not found")
    return {"concurrency_limit_id": id}


async def _set_limits(
    conn: Conn,
    id: uuid.UUID,
    body: DeploymentCreate | DeploymentUpdate,
    before: Deployment | None,
    now: dt.datetime,
) -> None:
    """Give the deployment the limit of its own that the body says, or take it away. A limit that
    others share is only ever let go of."""
    held = before.global_concurrency_limit if before is not None else None
    own = held is not None and held.name == f"{OWN_LIMIT_PREFIX}{id}"
    limit = body.concurrency_limit
    if isinstance(limit, int):
        if held is None or not own or held.limit != limit:
            limit_id = await deployments.set_own_limit(conn, id, limit, id=new_id(), now=now)
            await deployments.update_deployment(
                conn, id, {"concurrency_limit_id": limit_id}, now=now
            )
        return
    if limit is None and body.global_concurrency_limit_id in (None, msgspec.UNSET) and held:
        await deployments.update_deployment(conn, id, {"concurrency_limit_id": None}, now=now)
    elif limit is msgspec.UNSET and body.global_concurrency_limit_id is msgspec.UNSET:
        return
    if own:
        await deployments.delete_own_limits(conn, [id])


# Checks -------------------------------------------------------------------------------------------


def _check_own_parameters(create: DeploymentCreate) -> None:
    """Only where the body itself says that its schema is enforced: so it is in the protocol."""
    if create.enforce_parameter_schema is not True:
        return
    schema = create.parameter_openapi_schema
    if not isinstance(schema, dict):
        return
    why = why_unusable(schema)
    if why is not None:
        raise InvalidValue(f"The provided schema is not a valid json schema. Schema error: {why}")
    try:
        why = why_invalid(create.parameters, schema, ignore_required=True)
    except CircularSchema as error:
        raise InvalidValue(str(error)) from error
    if why is not None:
        raise InvalidValue(why)


async def _check_job_variables(conn: Conn, create: DeploymentCreate) -> None:
    if not create.work_pool_name or create.work_pool_name == DEFAULT_AGENT_POOL:
        return
    pool = await read_pool(conn, create.work_pool_name)
    if not create.job_variables:
        return
    try:
        variables = pool.base_job_template.get("variables")
        why = why_unfit(variables, create.job_variables, ignore_required=True)
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error
    if why is not None:
        raise Refused("unprocessable", f"Error creating deployment: {why}")


async def _check_patched_job_variables(conn: Conn, update: DeploymentUpdate) -> None:
    if not update.work_pool_name:
        return
    pool = await read_pool(conn, update.work_pool_name)
    schema = pool.base_job_template.get("variables")
    if not isinstance(schema, dict) or not isinstance(update.job_variables, dict):
        return
    try:
        what = what_is_wrong(update.job_variables, schema, ignore_required=True)
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error
    if what is not None:
        raise Refused("conflict", f"Error creating deployment: <ValidationError: {what!r}>")


async def _parameter_columns(conn: Conn, before: Deployment, update: DeploymentUpdate) -> Json:
    parameters = before.parameters
    columns: Json = {}
    if isinstance(update.parameters, dict):
        parameters = await hydrated_parameters(conn, update.parameters, words=OF_DEPLOYMENT)
        columns["parameters"] = parameters
    enforced = update.enforce_parameter_schema
    if before.enforce_parameter_schema if not isinstance(enforced, bool) else enforced:
        schema = update.parameter_openapi_schema or before.parameter_openapi_schema
        check_parameters(parameters, schema, words=OF_DEPLOYMENT, ignore_required=True)
    return columns


async def _check_blocks(conn: Conn, create: DeploymentCreate) -> None:
    wanted = {
        what: id
        for what, id in (
            ("infrastructure", create.infrastructure_document_id),
            ("storage", create.storage_document_id),
        )
        if isinstance(id, uuid.UUID)
    }
    if not wanted:
        return
    known = {document.id for document in await read_documents(conn, list(wanted.values()))}
    for what, id in wanted.items():
        if id not in known:
            raise Refused(
                "conflict",
                f"Error creating deployment. Could not find {what} block with id: {id}. This"
                " usually occurs when applying a deployment specification that was built against"
                " a different Prefect database / workspace.",
            )
