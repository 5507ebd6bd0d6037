"""Work pools, queues and workers by filter, from the pieces of `storage.postgres.filters`.

In the text, `p` is a work pool, `q` a work queue, `w` a worker.
"""

import uuid

from app.wire.base import as_utc
from app.wire.work_pools import (
    WorkerFilter,
    WorkerQuery,
    WorkPoolQuery,
    WorkPoolSelection,
    WorkQueueQuery,
)
from storage.postgres.filters import TRUE, Query, join, work_pool, work_queue
from storage.postgres.statements import statement

_SELECT_POOLS = statement("select_work_pools")
_SELECT_QUEUES = statement("select_work_queues")
_SELECT_WORKERS = statement("select_workers")


def select_work_pools(on: WorkPoolQuery) -> tuple[str, list[object]]:
    """One stretch of the pools, by name."""
    query = Query()
    where = work_pool(query, on.work_pools) if on.work_pools is not None else TRUE
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    return f"{_SELECT_POOLS} WHERE {where} ORDER BY p.name {tail}", query.values


def count_work_pools(on: WorkPoolSelection) -> tuple[str, list[object]]:
    """How many pools."""
    query = Query()
    where = work_pool(query, on.work_pools) if on.work_pools is not None else TRUE
    return f"SELECT count(*) FROM work_pool p WHERE {where}", query.values


def select_work_queues(
    on: WorkQueueQuery, work_pool_id: uuid.UUID | None
) -> tuple[str, list[object]]:
    """One stretch of the queues of a pool, by priority; of all pools, by name."""
    query = Query()
    where = work_queue(query, on.work_queues) if on.work_queues is not None else TRUE
    order = "q.name, q.id"
    if work_pool_id is not None:
        where = f"{where} AND q.work_pool_id = {query.bind(work_pool_id)}"
        order = "q.priority, q.id"
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    return f"{_SELECT_QUEUES} WHERE {where} ORDER BY {order} {tail}", query.values


def select_workers(on: WorkerQuery, work_pool_id: uuid.UUID) -> tuple[str, list[object]]:
    """One stretch of the workers of a pool, the one heard last first."""
    query = Query()
    where = _worker(query, on.workers) if on.workers is not None else TRUE
    of_pool = f"w.work_pool_id = {query.bind(work_pool_id)}"
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    order = "w.last_heartbeat_time DESC, w.id DESC"
    return f"{_SELECT_WORKERS} WHERE {of_pool} AND {where} ORDER BY {order} {tail}", query.values


def _worker(query: Query, on: WorkerFilter) -> str:
    parts = []
    heard = on.last_heartbeat_time
    if heard is not None:
        bounds = []
        if heard.before_ is not None:
            bounds.append(f"w.last_heartbeat_time <= {query.bind(as_utc(heard.before_))}")
        if heard.after_ is not None:
            bounds.append(f"w.last_heartbeat_time >= {query.bind(as_utc(heard.after_))}")
        parts.append(join(bounds, "and_"))
    if on.status is not None:
        either = []
        if on.status.any_ is not None:
            either.append(f"w.status = ANY ({query.bind(on.status.any_)})")
        if on.status.not_any_ is not None:
            either.append(f"w.status <> ALL ({query.bind(on.status.not_any_)})")
        parts.append(join(either, "and_"))
    return join(parts, on.operator)
