"""Whatever happens to lines, every reader shows what a plain list has: each line once and in order."""

import asyncio
import datetime as dt
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import LogFilter, TextFilter
from storage.archive import tables
from storage.archive.place import Archive
from storage.archive.publish import publish_pass
from storage.logs import reader
from storage.logs.compaction import NOTHING_TO_DO, clean_pass, compact_pass
from storage.logs.offload import offload_pass
from storage.logs.streams import Wanted
from storage.logs.tail import Delivery
from tests.processes import ROOT
from tests.storage.test_log_tail import texts

START = dt.datetime(2026, 11, 23, 23, 59, tzinfo=dt.UTC)
LEVELS = (10, 20, 30, 40)
RUNS = 3


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """A line of the model; `arrived` numbers lines as they were acknowledged."""

    timestamp: dt.datetime
    arrived: int
    run: int = field(compare=False)
    level: int = field(compare=False)
    message: str = field(compare=False)


class Model:
    """What was acknowledged, and the server that was told."""

    def __init__(self, client: httpx.AsyncClient, services: Services, flow: str) -> None:
        self.client = client
        self.services = services
        self.flow = flow
        # In every message, so that questions across runs find the lines of one example.
        self.word = f"w{new_id().hex[-10:]}"
        self.runs: list[str] = []
        self.lines: list[Line] = []
        self.deleted: set[int] = set()
        self.written = 0

    async def begin(self) -> None:
        for _ in range(RUNS):
            created = await self.client.post("/flow_runs/", json={"flow_id": self.flow})
            self.runs.append(created.json()["id"])

    def of(self, run: int | None = None) -> list[str]:
        """The messages that are to be seen, in order."""
        lines = [each for each in self.lines if each.run not in self.deleted]
        return [each.message for each in sorted(lines) if run is None or each.run == run]

    async def write(self, run: int, count: int, seed: int) -> None:
        """Lines that overlap those of before in time, some of the same microsecond."""
        dice = random.Random(f"{seed} {self.written}")
        new = []
        for _ in range(count):
            moment = START + dt.timedelta(milliseconds=dice.randrange(0, 120_000, 500))
            message = f"{self.word} says {self.written} {dice.getrandbits(64):016x}"
            new.append(Line(moment, self.written, run, dice.choice(LEVELS), message))
            self.written += 1
        body = [
            {
                "name": "n",
                "level": each.level,
                "message": each.message,
                "timestamp": each.timestamp.isoformat(),
                "flow_run_id": self.runs[run],
            }
            for each in new
        ]
        (await self.client.post("/logs/", json=body)).raise_for_status()
        if run not in self.deleted:
            self.lines += new

    async def step(self, what: str, run: int, count: int, seed: int) -> None:
        pool, objects = self.services.pool, self.services.objects
        match what:
            case "write":
                await self.write(run, count, seed)
            case "offload":
                await offload_pass(pool, objects, force=True)
            case "compact":
                await compacted(self.services)
            case "delete" if run not in self.deleted:
                answer = await self.client.delete(f"/flow_runs/{self.runs[run]}")
                answer.raise_for_status()
                self.deleted.add(run)
            case "clean":
                while await clean_pass(pool, objects, deleted_before_seconds=0) != NOTHING_TO_DO:
                    pass
            case _:
                pass


async def compacted(services: Services) -> None:
    """Leave nothing below the final tier."""
    now = dt.datetime.now(dt.UTC)
    while await compact_pass(services.pool, services.objects, now, force=True) != NOTHING_TO_DO:
        pass


async def answered(client: httpx.AsyncClient, path: str, body: object) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pages(model: Model, run: int, limit: int, sort: str) -> list[str]:
    """A run by offset, as the contract has it."""
    found: list[str] = []
    while True:
        page = await answered(
            model.client,
            "/logs/filter",
            {
                "logs": {"flow_run_id": {"any_": [model.runs[run]]}},
                "limit": limit,
                "offset": len(found),
                "sort": sort,
            },
        )
        found += [line["message"] for line in page]
        if len(page) < limit:
            return found


async def cursors(model: Model, run: int, limit: int, direction: str) -> list[str]:
    """A run by cursor from one end to the other."""
    found: list[str] = []
    cursor = None
    while True:
        body = {
            "flow_run_id": model.runs[run],
            "limit": limit,
            "direction": direction,
            "cursor": cursor,
        }
        page = await answered(model.client, "/tailrace/logs", body)
        messages = [line["message"] for line in page["lines"]]
        if not messages:
            return found
        found = [*messages, *found] if direction == "backward" else [*found, *messages]
        cursor = page["before" if direction == "backward" else "after"]


async def offsets(model: Model, run: int, dice: random.Random) -> None:
    """Where a page around some moment lies, of all lines and of some levels."""
    visible = [each for each in sorted(model.lines) if each.run == run and run not in model.deleted]
    moment = START + dt.timedelta(milliseconds=dice.randrange(0, 120_000, 500))
    for level in (None, 30, 40):
        lines = [each for each in visible if level is None or each.level >= level]
        body = {
            "flow_run_id": model.runs[run],
            "around_time": moment.isoformat(),
            "limit": 1,
            "offset": True,
            "level": None if level is None else {"ge_": level},
        }
        page = await answered(model.client, "/tailrace/logs", body)
        assert page["offset"] == len([each for each in lines if each.timestamp < moment])
    told = await answered(
        model.client,
        "/tailrace/logs/counts",
        {"logs": {"flow_run_id": {"any_": [model.runs[run]]}}},
    )
    assert told["lines"] == len(visible)
    day = {
        "start": "2020-01-01T00:00:00Z",
        "end": "2030-01-01T00:00:00Z",
        "bucket_seconds": 86_400 * 30,
    }
    for width in (day, {**day, "bucket_seconds": 86_400 * 30 + 1}):
        told = await answered(
            model.client,
            "/tailrace/logs/histogram",
            {**width, "logs": {"flow_run_id": {"any_": [model.runs[run]]}}},
        )
        assert told["lines"] == len(visible)


async def lines_with_a_text(model: Model, run: int, dice: random.Random) -> None:
    """Lines of a run with a text that few have, by cursor and by offset."""
    visible = model.of(run)
    text = dice.choice(visible)[-3:] if visible else "abc"
    wanted = [message for message in visible if text in message]
    found = {"text": {"query": text}}
    body = {"flow_run_id": model.runs[run], **found}
    page = await answered(model.client, "/tailrace/logs", body)
    assert [line["message"] for line in page["lines"]] == wanted[:200]
    for offset in (0, 1, len(wanted)):
        logs = {"flow_run_id": {"any_": [model.runs[run]]}, **found}
        page = await answered(model.client, "/logs/filter", {"logs": logs, "offset": offset})
        assert [line["message"] for line in page] == wanted[offset : offset + 200]


async def searched(model: Model, query: str, order: str) -> list[str]:
    """A search over all runs."""
    body = {"logs": {"text": {"query": query}}, "order": order, "limit": 10_000}
    answer = await model.client.post("/tailrace/logs/search", json=body)
    assert answer.status_code == 200, answer.text
    steps = [json.loads(line) for line in answer.text.splitlines()]
    assert [step["done"] for step in steps] == [False] * (len(steps) - 1) + [True]
    return [line["message"] for step in steps for line in step["lines"]]


async def downloaded(model: Model, run: int) -> list[str]:
    answer = await model.client.get(
        "/tailrace/logs/download", params={"flow_run_id": model.runs[run], "format": "ndjson"}
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line)["message"] for line in answer.text.splitlines()]


async def asked_in_sql(model: Model) -> list[str]:
    text = (
        f"SELECT message FROM logs WHERE contains(message, '{model.word}') ORDER BY timestamp, seq"
    )
    answer = await answered(model.client, "/tailrace/sql", {"sql": text, "limit": 10_000})
    return [row[0] for row in answer["rows"]]


async def check_quick_readers(model: Model, dice: random.Random) -> None:
    """Pages, cursors and searches."""
    run = dice.randrange(RUNS)
    limit = dice.choice((3, 17, 200))
    assert await pages(model, run, limit, "TIMESTAMP_ASC") == model.of(run)
    assert await pages(model, run, limit, "TIMESTAMP_DESC") == model.of(run)[::-1]
    assert await cursors(model, run, limit, dice.choice(("forward", "backward"))) == model.of(run)
    await offsets(model, run, dice)
    await lines_with_a_text(model, run, dice)
    assert await searched(model, model.word, "oldest") == model.of()
    if model.of():
        some = dice.choice(model.of())
        # A part of a random number: only the index of text knows where it may be.
        assert await searched(model, f"+{model.word} +{some[-11:-2]}", "newest") == [some]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("write", "write", "write", "offload", "compact", "delete", "clean")),
        st.integers(0, RUNS - 1),
        st.integers(1, 60),
        st.integers(0, 2**32),
    ),
    min_size=3,
    max_size=9,
)


@pytest.fixture(autouse=True)
def far_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of lines that match are found by their number from the second line on."""
    monkeypatch.setattr(reader, "NEAR_MATCHES", 1)


@pytest.fixture
async def flow(shared_client: httpx.AsyncClient) -> str:
    """The id of a flow."""
    created = await shared_client.post("/flows/", json={"name": f"flow-{new_id()}"})
    flow_id: str = created.json()["id"]
    return flow_id


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # Each example takes seconds: a smaller one is not worth the wait.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(steps=STEPS, seed=st.integers(0, 2**32))
async def test_every_reader_shows_what_a_plain_list_has(
    shared_client: httpx.AsyncClient,
    shared_services: Services,
    flow: str,
    steps: list[tuple[str, int, int, int]],
    seed: int,
) -> None:
    model = Model(shared_client, shared_services, flow)
    await model.begin()
    dice = random.Random(seed)
    wanted = Wanted(log_filter=LogFilter(text=TextFilter(query=model.word)))
    followed: list[str] = []
    async with shared_services.tail.follow(wanted, texts) as deliveries:
        for what, run, count, step_seed in steps:
            was_deleted = run in model.deleted
            await model.step(what, run, count, step_seed)
            if what == "write" and not was_deleted:
                async with asyncio.timeout(10):
                    while len(followed) < len(model.lines):
                        each = await anext(deliveries)
                        if isinstance(each, Delivery):
                            followed += each.formed
            await check_quick_readers(model, dice)
    assert Counter(followed) == Counter(line.message for line in model.lines)
    for run in range(RUNS):
        if run not in model.deleted:
            assert await downloaded(model, run) == model.of(run)
    assert await asked_in_sql(model) == model.of()


async def test_the_archive_has_what_the_readers_show(
    client: httpx.AsyncClient,
    services_config: Any,
    app: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    services: Services = app.state.services
    created = await client.post("/flows/", json={"name": "flow"})
    model = Model(client, services, created.json()["id"])
    await model.begin()
    archive = Archive(database_url=services_config.database_url, s3=services_config.s3)
    dice = random.Random(7)
    for what in ("write", "write", "offload", "write", "compact", "write", "delete", "clean"):
        await model.step(what, dice.randrange(RUNS), 40, dice.getrandbits(32))
    await model.step("offload", 0, 0, 0)
    await compacted(services)
    await model.step("clean", 0, 0, 0)
    await publish_pass(services.pool, archive, dt.datetime.now(dt.UTC))

    def rows() -> list[str]:
        with tables.open_catalog(archive) as catalog:
            table = catalog.load_table((archive.namespace, "logs"))
            lines = (
                table.scan().to_arrow().sort_by([("timestamp", "ascending"), ("seq", "ascending")])
            )
            return [str(message) for message in lines.column("message").to_pylist()]

    assert model.of()
    assert (
        await asyncio.to_thread(rows) == model.of() == await searched(model, model.word, "oldest")
    )
