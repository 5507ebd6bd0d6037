"""Reading over as many runs as there are after months: lists, counts and histories over HTTP.

The runs are those of `seeded_runs`, whose ids follow from their numbers. Every request of a kind
asks for something else: another flow, another tag, another day.
"""

import datetime as dt
from collections.abc import Callable, Iterator

import msgspec

from bench.driver import LoadFailed, LoadResult, Script, Tally, Target, request
from bench.seeded_runs import DEPLOYMENTS, FLOWS, QUEUES, SPAN, seed_runs
from bench.servers import RunningServer
from storage.postgres.pool import connect

LIMIT = 50
DAY = dt.timedelta(days=1)


class ReadCell(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one kind with so many runs stored."""

    kind: str
    runs: int
    load: LoadResult


def _seeded(kind: str, number: int) -> str:
    return f"{kind}0000-0000-7000-8000-{number:012x}"


def _some_day(n: int, now: dt.datetime) -> dict[str, str]:
    start = now - DAY * (1 + n * 7 % (SPAN.days - 1))
    return {"after_": start.isoformat(), "before_": (start + DAY).isoformat()}


def _list(sort: str, **filters: object) -> dict[str, object]:
    return {"sort": sort, "limit": LIMIT, **filters}


def _of_types(*types: str) -> dict[str, object]:
    return {"state": {"type": {"any_": types}}}


def _history(days: int, now: dt.datetime, **filters: object) -> dict[str, object]:
    return {
        "history_start": (now - DAY * days).isoformat(),
        "history_end": now.isoformat(),
        "history_interval_seconds": DAY.total_seconds(),
        **filters,
    }


# By what they are called in the tables: the path and, from a number and the time, the body.
KINDS: dict[str, tuple[str, Callable[[int, dt.datetime], dict[str, object]]]] = {
    "list, newest": ("/flow_runs/filter", lambda n, now: _list("START_TIME_DESC", offset=n)),
    "list, of a flow": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "START_TIME_DESC", flows={"id": {"any_": [_seeded("000f", n % FLOWS + 1)]}}
        ),
    ),
    "list, of a deployment": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "START_TIME_DESC",
            flow_runs={"deployment_id": {"any_": [_seeded("000d", n * 31 % DEPLOYMENTS + 1)]}},
        ),
    ),
    "list, of a work queue": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "EXPECTED_START_TIME_DESC",
            work_pool_queues={"id": {"any_": [_seeded("000a", n % QUEUES + 1)]}},
        ),
    ),
    "list, failed or crashed": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "EXPECTED_START_TIME_DESC", flow_runs=_of_types("FAILED", "CRASHED"), offset=n
        ),
    ),
    "list, running": (
        "/flow_runs/filter",
        lambda n, now: _list("START_TIME_DESC", flow_runs=_of_types("RUNNING"), offset=n),
    ),
    "list, scheduled next": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "NEXT_SCHEDULED_START_TIME_ASC", flow_runs=_of_types("SCHEDULED"), offset=n
        ),
    ),
    "list, with a tag": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "EXPECTED_START_TIME_DESC", flow_runs={"tags": {"all_": [f"tag-{n * 7 % 500}"]}}
        ),
    ),
    "list, of a day": (
        "/flow_runs/filter",
        lambda n, now: _list(
            "EXPECTED_START_TIME_DESC", flow_runs={"expected_start_time": _some_day(n, now)}
        ),
    ),
    "list, by part of a name": (
        "/flow_runs/filter",
        lambda n, now: _list("START_TIME_DESC", flow_runs={"name": {"like_": f"{n * 9973:05x}"}}),
    ),
    "count, by part of a name": (
        "/flow_runs/count",
        lambda n, now: {"flow_runs": {"name": {"like_": f"{n * 9973:05x}"}}},
    ),
    "count, all": ("/flow_runs/count", lambda n, now: {}),
    "count, failed or crashed": (
        "/flow_runs/count",
        lambda n, now: {"flow_runs": _of_types("FAILED", "CRASHED")},
    ),
    "count, of a day": (
        "/flow_runs/count",
        lambda n, now: {"flow_runs": {"expected_start_time": _some_day(n, now)}},
    ),
    "history, a week by days": ("/flow_runs/history", lambda n, now: _history(7, now)),
    "history, all 90 days by days": (
        "/flow_runs/history",
        lambda n, now: _history(SPAN.days, now),
    ),
    "history, of the pool": (
        "/flow_runs/history",
        lambda n, now: _history(SPAN.days, now, work_pools={"name": {"any_": ["seeded"]}}),
    ),
    "history, without subflow runs": (
        "/flow_runs/history",
        lambda n, now: _history(
            SPAN.days, now, flow_runs={"parent_task_run_id": {"is_null_": True}}
        ),
    ),
    "history, by part of a name": (
        "/flow_runs/history",
        lambda n, now: _history(SPAN.days, now, flow_runs={"name": {"like_": f"{n * 37:03x}"}}),
    ),
}


class ReadLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one kind, one after the other on one connection. Counts answers."""

    kind: str
    now: dt.datetime
    requests: int
    seconds: float = 30.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        path, body = KINDS[self.kind]
        ready = [
            request(target, "POST", f"/api{path}", msgspec.json.encode(body(n, self.now)))
            for n in range(self.requests)
        ]
        return [_read(iter(ready), tally)]


def _read(feed: Iterator[bytes], tally: Tally) -> Script:
    for ready in feed:
        response = yield ready
        if response.status != 200:
            raise LoadFailed(f"{ready!r} was answered {response.status} {response.body[:300]!r}")
        tally.units += 1
        if tally.time_is_up:
            return


async def fill_with_runs(server: RunningServer, runs: int, now: dt.datetime) -> None:
    """So many runs, and task runs and events beside them, into the empty database."""
    conn = await connect(server.database_url)
    try:
        await seed_runs(conn, runs=runs, task_runs=runs // 4, events=runs // 4, now=now)
    finally:
        await conn.close()
