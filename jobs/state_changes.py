"""How jobs change states: found in batches, each run locked, looked at again and changed by itself.

So a client that was faster keeps what it proposed, and a second process finds nothing left to do.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Sequence

from app.orchestration.transition import FlowPolicy, change_flow_run_state
from app.rules import flow_policy
from app.services import Services
from app.wire.base import utc_now
from app.wire.facts import Client, FlowRunFacts
from app.wire.state_changes import StateAuthor
from app.wire.states import StateCreate
from storage.postgres.pool import Conn, connection

# Runs found at once, and how often a pass looks again: more is left to the next pass.
BATCH = 200
MAX_BATCHES = 25

Find = Callable[[Conn], Awaitable[Sequence[uuid.UUID]]]


async def in_batches(
    services: Services, find: Find, change: Callable[[uuid.UUID], Awaitable[bool]]
) -> int:
    """Change what is found until nothing is; says how many were changed. `find` gives at most BATCH
    ids, `change` whether it changed the one of that id."""
    total = 0
    for _ in range(MAX_BATCHES):
        async with connection(services.pool) as conn:
            ids = await find(conn)
        changed = 0
        for id in ids:
            changed += await change(id)
        total += changed
        if not changed:
            break
    return total


async def change_flow_run(
    services: Services,
    flow_run_id: uuid.UUID,
    propose: Callable[[FlowRunFacts], StateCreate | None],
    *,
    job: str,
    now: dt.datetime | None = None,
    policy: FlowPolicy = flow_policy.CORE,
    once_accepted: Callable[[Conn, FlowRunFacts], Awaitable[None]] | None = None,
) -> bool:
    """Propose what `propose` says of the locked run in the name of the job, and tell of the state that
    came of it, if one did. What is written `once_accepted` is committed together with the state."""
    now = now or utc_now()
    result = await change_flow_run_state(
        services.pool,
        flow_run_id,
        propose,
        now=now,
        policy=policy,
        client=Client(changed_by=StateAuthor(kind="job", name=job).text()),
        once_accepted=once_accepted,
    )
    if result is None or result.state is None or result.state.timestamp < now:
        return False
    services.events.announce([result.state.id])
    return True
