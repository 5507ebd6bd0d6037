"""Retention rules, what they expire, and runs that are held.

Whole runs expire by a tombstone, as if they had been deleted: no reader shows their lines from then on.
Single lines expire by `log_expiry`, at the next rewrite of their object.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.wire.base import NIL_UUID
from app.wire.log_retention import Hold, RetentionRules
from storage.errors import Conflict, NotFound
from storage.postgres.pool import Conn, driver_errors
from storage.postgres.statements import statement

_READ_RULES = statement("read_retention_rules")
_WRITE_RULES = statement("write_retention_rules")
_AGED_RUNS = statement("aged_runs")
_LOCK_HOLDS = statement("lock_holds")
_EXPIRE_RUNS = statement("expire_runs")
_EXPIRE_LEVELS = statement("expire_levels")
_EXPIRE_RUNLESS = statement("expire_runless")
_PRUNE_EXPIRIES = statement("prune_expiries")
_HOLD_RUN = statement("hold_run")
_HELD_AMONG = statement("held_among")
_RELEASE_RUN = statement("release_run")
_HOLDS = statement("holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """A run's logs in S3 and what rules ask of it; see `app.rules.log_retention.AgedRun`. `settled`
    when nothing newer than was asked for is known of it."""

    id: uuid.UUID
    last: dt.datetime
    rows: int
    bytes: int
    least_level: int
    active: bool
    flow: str | None
    deployment: str | None
    tags: list[str]
    settled: bool


async def read_rules(conn: Conn) -> RetentionRules:
    """The rules in force."""
    rules = await conn.fetchval(_READ_RULES)
    return RetentionRules(rules=[]) if rules is None else msgspec.convert(rules, RetentionRules)


async def write_rules(conn: Conn, rules: RetentionRules) -> None:
    """Replace all rules."""
    await conn.execute(_WRITE_RULES, msgspec.to_builtins(rules))


async def aged_runs(
    conn: Conn, *, before: dt.datetime, after_id: uuid.UUID, limit: int
) -> list[LoggedRun]:
    """Runs with a last line in some segment from before `before`, by id; the nil run is left out."""
    rows = await conn.fetch(_AGED_RUNS, before, after_id, limit)
    return [LoggedRun(**dict(row)) for row in rows]


async def expire_runs(conn: Conn, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Hide the logs of whole runs for good; gives those that were not held. Must run in a
    transaction."""
    await conn.execute(_LOCK_HOLDS)
    return [row["flow_run_id"] for row in await conn.fetch(_EXPIRE_RUNS, ids)]


async def expire_levels(conn: Conn, levels: Mapping[uuid.UUID, int]) -> None:
    """Have the lines of runs below a level left out of the next rewrite. Must run in a transaction."""
    await conn.execute(_LOCK_HOLDS)
    await conn.execute(_EXPIRE_LEVELS, list(levels), list(levels.values()))


async def expire_runless(conn: Conn, before: dt.datetime) -> None:
    """Have the lines outside any run that are older than this left out of the next rewrite."""
    await conn.execute(_EXPIRE_RUNLESS, before)


async def prune_expiries(conn: Conn) -> None:
    """Forget what was done."""
    await conn.execute(_PRUNE_EXPIRIES)


async def hold_run(conn: Conn, flow_run_id: uuid.UUID, reason: str) -> Hold:
    """Hold a run, or change the reason.

    Raises:
        NotFound: there is no such run, or its logs are deleted already.
    """
    try:
        with driver_errors():
            row = await conn.fetchrow(_HOLD_RUN, flow_run_id, reason)
    except Conflict as error:
        raise NotFound("Flow run not found") from error
    if row is None:
        raise NotFound(f"The logs of flow run {flow_run_id} are deleted already")
    return Hold(**dict(row))


async def release_run(conn: Conn, flow_run_id: uuid.UUID) -> None:
    """End a hold. Raises NotFound when there is none."""
    if await conn.fetchval(_RELEASE_RUN, flow_run_id) is None:
        raise NotFound(f"Flow run {flow_run_id} is not held")


async def holds(conn: Conn, *, after_id: uuid.UUID = NIL_UUID, limit: int) -> list[Hold]:
    """Holds by flow run id."""
    return [Hold(**dict(row)) for row in await conn.fetch(_HOLDS, after_id, limit)]


async def held_among(
    conn: Conn, run_ids: Sequence[uuid.UUID], flow_ids: Sequence[uuid.UUID], *, limit: int
) -> list[tuple[uuid.UUID, str]]:
    """Held runs among these and those of these flows: ids and names, by id."""
    rows = await conn.fetch(_HELD_AMONG, run_ids, flow_ids, limit)
    return [(row["id"], row["name"]) for row in rows]
