"""Counts by time and level, and by run and level, are those of all lines that a reader may see."""

import asyncio
import datetime as dt
import random
import re
import uuid
from collections import Counter
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pytest
from litestar import Litestar

from app.services import Services
from storage.logs import counted_lines
from storage.logs.compaction import NOTHING_TO_DO, compact_pass
from storage.logs.offload import offload_pass
from storage.logs.reader import LogReader
from storage.logs.source_rows import Payloads, SourceRows

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
RUNS = [uuid.UUID(int=number, version=4) for number in range(1, 6)]
DELETED_RUN = RUNS[1]
DELETED_TASK = uuid.UUID(int=77, version=4)
FLOW = uuid.UUID(int=100, version=4)
OTHER_FLOW = uuid.UUID(int=101, version=4)
OWNED = (RUNS[0], RUNS[2], RUNS[3])
LEVELS = (10, 20, 40)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Line(NamedTuple):
    """A line of the model."""

    time: dt.datetime
    level: int
    run: uuid.UUID | None
    task: uuid.UUID | None
    message: str
    logger: str


@pytest.fixture
def services(app: Litestar) -> Services:
    found: Services = app.state.services
    return found


async def write(client: httpx.AsyncClient, dice: random.Random, count: int) -> list[Line]:
    """Lines of two hours, some at whole minutes."""
    lines = []
    for number in range(count):
        seconds = dice.choice([dice.uniform(0, 7200), dice.randrange(120) * 60])
        run = dice.choice([*RUNS, None])
        task = DELETED_TASK if run == RUNS[2] and dice.random() < 0.3 else None
        word = dice.choice(["paid", "refused"])
        lines.append(
            Line(
                START + dt.timedelta(microseconds=int(seconds * 1_000_000)),
                dice.choice(LEVELS),
                run,
                task,
                f"order {number} {word} {dice.getrandbits(64):016x}",
                dice.choice(["app.orders", "app.bank"]),
            )
        )
    body = [
        {
            "name": line.logger,
            "level": line.level,
            "message": line.message,
            "timestamp": line.time.isoformat(),
            "flow_run_id": str(line.run) if line.run else None,
            "task_run_id": str(line.task) if line.task else None,
        }
        for line in lines
    ]
    (await client.post("/logs/", json=body)).raise_for_status()
    return lines


async def compact(services: Services) -> None:
    now = dt.datetime.now(dt.UTC)
    while await compact_pass(services.pool, services.objects, now, force=True) != NOTHING_TO_DO:
        pass


async def delete(services: Services) -> None:
    await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", DELETED_RUN)
    await services.pool.execute(
        "INSERT INTO log_task_tombstone (task_run_id, flow_run_id) VALUES ($1, $2)",
        DELETED_TASK,
        RUNS[2],
    )


async def own(services: Services) -> None:
    """A flow has the runs of `OWNED`, another one the rest."""
    for flow in (FLOW, OTHER_FLOW):
        await services.pool.execute(
            "INSERT INTO flow (id, created, updated, name, tags, labels)"
            " VALUES ($1, now(), now(), $2, '{}', '{}')",
            flow,
            str(flow),
        )
    for run in RUNS:
        if run != DELETED_RUN:
            await services.pool.execute(
                "INSERT INTO flow_run (id, created, updated, name, flow_id, parameters, context,"
                " empirical_policy, tags, labels)"
                " VALUES ($1, now(), now(), 'run', $2, '{}', '{}', '{}', '{}', '{}')",
                run,
                FLOW if run in OWNED else OTHER_FLOW,
            )


async def fill(client: httpx.AsyncClient, services: Services, dice: random.Random) -> list[Line]:
    """Lines in a merged segment with an index, in one of offload, and hot; some are deleted."""
    lines = await write(client, dice, 400)
    await offload_pass(services.pool, services.objects, force=True)
    lines += await write(client, dice, 400)
    await offload_pass(services.pool, services.objects, force=True)
    await compact(services)
    lines += await write(client, dice, 300)
    await offload_pass(services.pool, services.objects, force=True)
    lines += await write(client, dice, 200)
    await delete(services)
    await own(services)
    return [line for line in lines if line.run != DELETED_RUN and line.task != DELETED_TASK]


async def asked(client: httpx.AsyncClient, what: str, **body: object) -> Any:
    answer = await client.post(f"/tailrace/logs/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_bucket(lines: list[Line], start: dt.datetime, width: float) -> Counter[tuple[str, int]]:
    """What the histogram of the lines is."""
    counts: Counter[tuple[str, int]] = Counter()
    for line in lines:
        number = (line.time - EPOCH) // dt.timedelta(seconds=width)
        begin = max(start, EPOCH + number * dt.timedelta(seconds=width))
        counts[begin.isoformat(), line.level] += 1
    return counts


def told_buckets(answer: Any) -> Counter[tuple[str, int]]:
    return Counter(
        {
            (dt.datetime.fromisoformat(each["start"]).isoformat(), int(level)): lines
            for each in answer["buckets"]
            for level, lines in each["levels"].items()
        }
    )


def told_runs(answer: Any) -> Counter[tuple[str | None, int]]:
    return Counter(
        {
            (each["flow_run_id"], int(level)): lines
            for each in answer["runs"]
            for level, lines in each["levels"].items()
        }
    )


def by_run(lines: list[Line]) -> Counter[tuple[str | None, int]]:
    return Counter((str(line.run) if line.run else None, line.level) for line in lines)


# Of the contract's filter; and whole bodies of Tailrace's own.
FILTERS: list[tuple[dict[str, object], Any]] = [
    ({}, lambda line: True),
    ({"level": {"ge_": 20}}, lambda line: line.level >= 20),
    ({"level": {"ge_": -(2**63), "le_": 2**63}}, lambda line: True),
    ({"level": {"le_": 20}, "text": {"query": "refused"}},
     lambda line: line.level <= 20 and "refused" in line.message),
    ({"flow_run_id": {"any_": [str(RUNS[0]), str(DELETED_RUN), str(RUNS[2])]}},
     lambda line: line.run in (RUNS[0], RUNS[2])),
    ({"operator": "or_", "level": {"ge_": 40}, "text": {"query": "paid"}},
     lambda line: line.level >= 40 or "paid" in line.message),
    ({"timestamp": {"after_": (START + dt.timedelta(minutes=31, seconds=7)).isoformat()}},
     lambda line: line.time >= START + dt.timedelta(minutes=31, seconds=7)),
    ({"level": {"any_": [10, 40]}}, lambda line: line.level in (10, 40)),
    ({"level": {"any_": [10, 20], "ge_": 15}}, lambda line: line.level == 20),
    ({"level": {"any_": []}}, lambda line: False),
    ({"operator": "or_", "level": {"any_": [10]}, "text": {"query": "paid"}},
     lambda line: line.level == 10 or "paid" in line.message),
]  # fmt: skip
BODIES: list[tuple[dict[str, object], Any]] = [
    *(({"logs": logs}, matches) for logs, matches in FILTERS),
    ({"regex": r"order \d*7 p"}, lambda line: re.search(r"order \d*7 p", line.message)),
    ({"regex": "r.fused", "logs": {"level": {"any_": [40]}}, "logger": ["app.bank"]},
     lambda line: "refused" in line.message and line.level == 40 and line.logger == "app.bank"),
    ({"flow_ids": [str(FLOW)]}, lambda line: line.run in OWNED),
    ({"flow_ids": [str(FLOW)], "regex": "r.fused", "logs": {"level": {"ge_": 20}}},
     lambda line: line.run in OWNED and "refused" in line.message and line.level >= 20),
    ({"flow_ids": [str(FLOW)], "logs": {"flow_run_id": {"any_": [str(RUNS[0]), str(RUNS[4])]}}},
     lambda line: line.run == RUNS[0]),
    ({"flow_ids": [str(FLOW), str(OTHER_FLOW)]}, lambda line: line.run is not None),
    ({"flow_ids": []}, lambda line: False),
]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
async def test_counts_are_those_of_all_lines(
    client: httpx.AsyncClient, services: Services, seed: int
) -> None:
    dice = random.Random(seed)
    lines = await fill(client, services, dice)
    ranges = [
        (START - dt.timedelta(days=1), START + dt.timedelta(days=1)),
        (START, START + dt.timedelta(hours=1)),
        (START + dt.timedelta(minutes=40, milliseconds=333), START + dt.timedelta(minutes=48)),
    ]
    for _ in range(2):
        first, last = sorted(dice.sample(range(7200), 2))
        ranges.append(
            (
                START + dt.timedelta(seconds=first, microseconds=dice.randrange(1_000_000)),
                START + dt.timedelta(seconds=last + 1),
            )
        )
    for body, matches in BODIES:
        for start, end in dice.sample(ranges, 3):
            wanted = [line for line in lines if start <= line.time < end and matches(line)]
            span = {"start": start.isoformat(), "end": end.isoformat(), **body}
            for width in (0.25, 7, 60, 300, 86400):
                if (end - start).total_seconds() / width <= 1900:
                    answer = await asked(client, "histogram", bucket_seconds=width, **span)
                    assert told_buckets(answer) == by_bucket(wanted, start, width), (span, width)
                    assert answer["lines"] == len(wanted)
            answer = await asked(client, "counts", **span)
            assert told_runs(answer) == by_run(wanted), span
            assert answer["lines"] == len(wanted)


async def test_counts_of_an_indexed_segment_read_no_lines_but_those_at_its_edges(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(3)
    lines: list[Line] = []
    for _ in range(2):
        lines += await write(client, dice, 250)
        await offload_pass(services.pool, services.objects, force=True)
    await compact(services)

    async def refuse(*_: object) -> None:
        raise AssertionError("lines are read")

    monkeypatch.setattr(counted_lines.LineCounts, "_read_together", refuse)
    whole_hour = (START + dt.timedelta(minutes=20), START + dt.timedelta(minutes=80))
    answer = await asked(
        client,
        "histogram",
        start=whole_hour[0].isoformat(),
        end=whole_hour[1].isoformat(),
        bucket_seconds=300,
    )
    wanted = [line for line in lines if whole_hour[0] <= line.time < whole_hour[1]]
    assert told_buckets(answer) == by_bucket(wanted, whole_hour[0], 300)
    assert told_runs(await asked(client, "counts")) == by_run(lines)


async def test_lines_that_move_to_s3_meanwhile_are_counted_once(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = await write(client, random.Random(5), 100)
    hot_lines = SourceRows.hot_lines
    moved: list[int] = []

    async def offloaded_first(rows: SourceRows, payloads: Payloads, ids: list[int]) -> pa.Table:
        if not moved:
            moved.extend(ids)
            await offload_pass(services.pool, services.objects, force=True)
        return await hot_lines(rows, payloads, ids)

    monkeypatch.setattr(SourceRows, "hot_lines", offloaded_first)
    assert told_runs(await asked(client, "counts")) == by_run(lines)
    assert moved


async def test_the_runs_with_the_most_lines_are_told(
    client: httpx.AsyncClient, services: Services
) -> None:
    lines = await fill(client, services, random.Random(4))
    answer = await asked(client, "counts", limit=2)
    most = Counter(str(line.run) if line.run else None for line in lines).most_common()
    assert answer["run_count"] == len(most)
    assert [each["lines"] for each in answer["runs"]] == [count for _, count in most[:2]]
    assert answer["lines"] == len(lines)


async def test_counting_ends_when_nobody_waits_for_it(
    app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, ended = asyncio.Event(), asyncio.Event()

    async def endless(*_: object) -> None:
        counting.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(LogReader, "run_counts", endless)
    body = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Any:
        if body:
            return body.pop()
        await counting.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/tailrace/logs/counts",
        "raw_path": b"/api/tailrace/logs/counts",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    async with asyncio.timeout(20):
        await app(scope, receive, send)
    assert ended.is_set()
    # An error would be one of the application, in its log, for each page that somebody leaves.
    assert sent[0]["status"] == 499


NOON = "2026-11-24T12:00:00Z"
NOON_AND_A_SECOND = "2026-11-24T12:00:01Z"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "start"),
        ({"start": "2026-11-24T12:00:00Z", "end": "2026-11-24T12:00:00Z"}, "end must be after"),
        ({"start": "2026-11-24T12:00:00Z", "end": "2027-11-24T12:00:00Z"}, "buckets"),
        (
            {"start": "2026-11-24T12:00:00Z", "end": "2026-11-24T13:00:00Z", "bucket_seconds": 0},
            "bucket_seconds",
        ),
        ({"start": "2026-11-24T12:00:00Z", "end": "2026-11-24T13:00:00Z", "by": "x"}, "by"),
        ({"start": NOON, "end": NOON_AND_A_SECOND, "bucket_seconds": 0.0015}, "bucket_seconds"),
        ({"start": NOON, "end": NOON_AND_A_SECOND, "regex": "("}, "regex"),
        ({"start": NOON, "end": NOON_AND_A_SECOND, "logs": {"level": {"any_": ["x"]}}}, "any_"),
    ],
)
async def test_a_mistake_is_named(
    client: httpx.AsyncClient, body: dict[str, object], says: str
) -> None:
    answer = await client.post("/tailrace/logs/histogram", json={"bucket_seconds": 60, **body})
    assert answer.status_code == 422, answer.text
    assert says in answer.text
