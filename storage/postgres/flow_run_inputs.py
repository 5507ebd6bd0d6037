"""What somebody tells a run while it waits: texts under keys of the run."""

import datetime as dt
import uuid

from app.wire.runs import FlowRunInput, FlowRunInputCreate, FlowRunInputQuery
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_INSERT = statement("insert_flow_run_input")
_READ = statement("read_flow_run_input")
_SELECT = statement("select_flow_run_inputs")
_DELETE = statement("delete_flow_run_input")


async def insert_flow_run_input(
    conn: Conn,
    flow_run_id: uuid.UUID,
    create: FlowRunInputCreate,
    *,
    id: uuid.UUID,
    now: dt.datetime,
) -> None:
    """Keep it. A key that is taken, or a run that is not there, is a constraint's refusal."""
    await conn.execute(_INSERT, flow_run_id, create.key, id, now, create.value, create.sender)


async def read_flow_run_input(conn: Conn, flow_run_id: uuid.UUID, key: str) -> str:
    """The text under the key. Raises NotFound."""
    row = await conn.fetchrow(_READ, flow_run_id, key)
    if row is None:
        raise NotFound("Flow run input not found")
    value: str = row["value"]
    return value


async def select_flow_run_inputs(
    conn: Conn, flow_run_id: uuid.UUID, query: FlowRunInputQuery
) -> list[FlowRunInput]:
    """Inputs whose keys begin with the prefix, oldest first."""
    rows = await conn.fetch(_SELECT, flow_run_id, query.prefix, query.exclude_keys, query.limit)
    return [
        FlowRunInput(
            id=row["id"],
            created=row["created"],
            updated=row["updated"],
            flow_run_id=row["flow_run_id"],
            key=row["key"],
            value=row["value"],
            sender=row["sender"],
        )
        for row in rows
    ]


async def delete_flow_run_input(conn: Conn, flow_run_id: uuid.UUID, key: str) -> None:
    """Raises NotFound."""
    if await conn.fetchrow(_DELETE, flow_run_id, key) is None:
        raise NotFound("Flow run input not found")
