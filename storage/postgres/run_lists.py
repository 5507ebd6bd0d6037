"""What lists tell of runs: the last ones and the next one of each row, and the tags there are."""

import datetime as dt
import uuid

import asyncpg

from app.wire.run_lists import RecentRuns, RecentRunsQuery, RunInBrief
from app.wire.runs import estimated_run_time
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_OF_FLOWS = statement("select_recent_runs_of_flows")
_OF_DEPLOYMENTS = statement("select_recent_runs_of_deployments")
_TAGS = statement("select_run_tags")

# Runs of which tags are taken one by one: a few milliseconds.
NEWEST_RUNS = 2000


async def recent_runs(
    conn: Conn, query: RecentRunsQuery, *, now: dt.datetime
) -> dict[uuid.UUID, RecentRuns]:
    """By flow or deployment; one without runs, or that is not there, has none."""
    ids = query.flow_ids if query.flow_ids is not None else query.deployment_ids or []
    last: dict[uuid.UUID, list[RunInBrief]] = {id: [] for id in ids}
    due: dict[uuid.UUID, RunInBrief] = {}
    sql = _OF_FLOWS if query.flow_ids is not None else _OF_DEPLOYMENTS
    for row in await conn.fetch(sql, list(last), query.limit):
        if row["next"]:
            due[row["owner_id"]] = _brief(row, now)
        else:
            last[row["owner_id"]].append(_brief(row, now))
    return {id: RecentRuns(last=runs, next=due.get(id)) for id, runs in last.items()}


async def run_tags(conn: Conn, text: str, limit: int) -> list[str]:
    """Tags with this text in them, in any case, of runs: frequent ones, those of deployments, and those
    of the newest runs. A rare one of old runs is missing."""
    return [row["tag"] for row in await conn.fetch(_TAGS, text, NEWEST_RUNS, limit)]


def _brief(row: asyncpg.Record, now: dt.datetime) -> RunInBrief:
    return RunInBrief(
        id=row["id"],
        name=row["name"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        estimated_run_time=estimated_run_time(
            row["total_run_time"], row["state_type"], row["state_timestamp"], now
        ),
    )
