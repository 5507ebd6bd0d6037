"""Runs are made from deployments: what a deployment says, overlaid by what its caller says, checked
against the schemas of the deployment and of its work pool."""

import datetime as dt
import uuid
from collections.abc import Sequence

from app.orchestration.parameters import (
    OF_ONE_AMONG_MANY,
    OF_RUN,
    Words,
    check_parameters,
    hydrated_parameters,
)
from app.orchestration.refusal import Refused
from app.orchestration.submission import Origin, keep_flow_run
from app.rules.job_variables import why_unfit
from app.rules.json_schema import CircularSchema
from app.wire.base import Json
from app.wire.deployments import CreatedFlowRun, DeploymentFlowRunCreate
from app.wire.facts import ResolvedQueue
from app.wire.runs import CreatedBy, FlowRun, FlowRunCreate
from app.wire.states import StateCreate
from storage.errors import Conflict, InvalidValue
from storage.postgres.deployments import RunTemplate, read_template
from storage.postgres.pool import Conn, Pool, connection, driver_errors, transaction
from storage.postgres.work_queues import ensure_work_queue

SCHEDULED = StateCreate(type="SCHEDULED")


async def create_run(
    pool: Pool,
    deployment_id: uuid.UUID,
    create: DeploymentFlowRunCreate,
    *,
    author: CreatedBy | None,
    changed_by: str | None = None,
    now: dt.datetime,
) -> tuple[FlowRun, bool]:
    """The new run, or the one that was made with the same idempotency key; and whether it is new.

    Raises:
        NotFound: there is no such deployment.
        Refused: parameters or job variables do not fit, or a queue is named without a pool.
    """
    alone = create.parent_task_run_id is None and create.work_queue_name is None
    async with connection(pool) if alone else transaction(pool) as conn:
        template = await read_template(conn, deployment_id)
        return await _create(conn, template, create, author, changed_by, now)


async def create_runs(
    pool: Pool,
    deployment_id: uuid.UUID,
    creates: Sequence[DeploymentFlowRunCreate],
    *,
    author: CreatedBy | None,
    changed_by: str | None = None,
    now: dt.datetime,
) -> tuple[list[CreatedFlowRun], list[uuid.UUID]]:
    """What became of each, and the ids of the events that tell of those that are new. One that is
    refused keeps no other from being made.

    Raises:
        NotFound: there is no such deployment.
    """
    results: list[CreatedFlowRun] = []
    told: list[uuid.UUID] = []
    async with transaction(pool) as conn:
        template = await read_template(conn, deployment_id)
        for create in creates:
            try:
                # Errors of the driver are made ours inside, where the one run is undone.
                with driver_errors():
                    async with conn.transaction():
                        run, new = await _create(
                            conn, template, create, author, changed_by, now, OF_ONE_AMONG_MANY
                        )
            except (Refused, Conflict, InvalidValue) as error:
                results.append(CreatedFlowRun(status="FAILED", error=str(error)))
                continue
            results.append(CreatedFlowRun(status="CREATED", flow_run_id=run.id))
            if new and run.state_id is not None:
                told.append(run.state_id)
    return results, told


async def _create(
    conn: Conn,
    template: RunTemplate,
    create: DeploymentFlowRunCreate,
    author: CreatedBy | None,
    changed_by: str | None,
    now: dt.datetime,
    words: Words = OF_RUN,
) -> tuple[FlowRun, bool]:
    parameters = await hydrated_parameters(
        conn, {**template.parameters, **create.parameters}, words=words
    )
    enforced = create.enforce_parameter_schema
    if template.enforce_parameter_schema if enforced is None else enforced:
        check_parameters(parameters, template.parameter_openapi_schema, words=words)
    _check_job_variables(template, create.job_variables or {})
    queue = await _queue(conn, template, create, now, words)
    run = FlowRunCreate(
        flow_id=template.flow_id,
        state=create.state or SCHEDULED,
        name=create.name,
        parameters=parameters,
        context=create.context,
        parent_task_run_id=create.parent_task_run_id,
        infrastructure_document_id=(
            create.infrastructure_document_id or template.infrastructure_document_id
        ),
        empirical_policy=create.empirical_policy,
        tags=sorted({*template.tags, *create.tags}),
        labels=create.labels,
        idempotency_key=create.idempotency_key,
        work_queue_name=create.work_queue_name or template.work_queue_name,
        job_variables=create.job_variables,
        deployment_id=template.id,
    )
    origin = Origin(
        flow_id=template.flow_id,
        flow_name=template.flow_name,
        tags_around=tuple(template.flow_tags),
        labels={
            **template.labels,
            "prefect.flow.id": str(template.flow_id),
            "prefect.deployment.id": str(template.id),
        },
        deployment_name=template.name,
        deployment_version=template.version,
        work_queue=queue,
        author=author,
        changed_by=changed_by,
    )
    return await keep_flow_run(conn, run, origin, now=now)


def _check_job_variables(template: RunTemplate, job_variables: Json) -> None:
    if template.work_queue is None:
        return
    try:
        why = why_unfit(
            template.variables, template.job_variables, job_variables, ignore_required=False
        )
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error
    if why is not None:
        raise Refused("unprocessable", f"Error creating flow run: {why}")


async def _queue(
    conn: Conn,
    template: RunTemplate,
    create: DeploymentFlowRunCreate,
    now: dt.datetime,
    words: Words,
) -> ResolvedQueue | None:
    if not create.work_queue_name:
        return template.work_queue
    if template.work_queue is None:
        raise Refused(
            "bad_request",
            words.no_pool.format(queue=create.work_queue_name, deployment=template.id),
        )
    return await ensure_work_queue(
        conn,
        pool_name=template.work_queue.work_pool_name,
        queue_name=create.work_queue_name,
        now=now,
    )
