"""A deleted task run has no log lines for anybody, from the moment that it is deleted."""

import datetime as dt
import uuid

import httpx
import pytest

from app.services import Services
from app.wire.base import Json, new_id
from app.wire.logs import FlowRunIdFilter, LogFilter
from storage.logs.offload import offload_pass
from storage.logs.streams import Wanted
from tests.storage.test_log_tail import messages as messages_of
from tests.storage.test_log_tail import texts

_START = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)


class Run:
    """A flow run with two task runs, each of which logged, in turn with the flow."""

    def __init__(self, flow_run: str, dropped: str, kept: str) -> None:
        self.flow_run = flow_run
        self.dropped = dropped
        self.kept = kept

    def lines(self, first: int, count: int) -> list[Json]:
        """Lines whose message is their number; every third one is of the task run to be dropped."""
        return [
            {
                "name": "prefect.task_runs",
                "level": 20,
                "message": str(number),
                "timestamp": (_START + dt.timedelta(seconds=number)).isoformat(),
                "flow_run_id": self.flow_run,
                "task_run_id": (self.dropped, self.kept, None)[number % 3],
            }
            for number in range(first, first + count)
        ]


async def make_run(client: httpx.AsyncClient) -> Run:
    """Make them over the API."""
    flow = (await client.post("/flows/", json={"name": f"flow-{new_id()}"})).json()["id"]
    run = (await client.post("/flow_runs/", json={"flow_id": flow})).json()["id"]
    tasks = [
        (
            await client.post(
                "/task_runs/",
                json={"flow_run_id": run, "task_key": "t", "dynamic_key": str(number)},
            )
        ).json()["id"]
        for number in range(2)
    ]
    return Run(run, *tasks)


async def post(client: httpx.AsyncClient, lines: list[Json]) -> None:
    """Post lines, which must be taken."""
    assert (await client.post("/logs/", json=lines)).status_code == 201


async def messages(client: httpx.AsyncClient, **query: object) -> list[int]:
    """The numbers of a page."""
    answer = await client.post("/logs/filter", json=query)
    assert answer.status_code == 200
    return [int(log["message"]) for log in answer.json()]


@pytest.mark.parametrize("tier", ["hot", "segments", "both"])
async def test_every_reader_shows_the_other_lines_alone(
    shared_client: httpx.AsyncClient, shared_services: Services, tier: str
) -> None:
    client = shared_client
    run = await make_run(client)
    await post(client, run.lines(0, 60))
    if tier != "hot":
        while (await offload_pass(shared_services.pool, shared_services.objects, force=True)).more:
            pass
    if tier == "both":
        await post(client, run.lines(60, 60))
    total = 120 if tier == "both" else 60
    of_run = {"flow_run_id": {"any_": [run.flow_run]}}
    assert await messages(client, logs=of_run) == list(range(total))

    assert (await client.delete(f"/task_runs/{run.dropped}")).status_code == 204

    left = [number for number in range(total) if number % 3]
    assert await messages(client, logs=of_run) == left
    assert await messages(client, logs=of_run, sort="TIMESTAMP_DESC") == left[::-1]
    paged = [await messages(client, logs=of_run, limit=7, offset=i) for i in range(0, total, 7)]
    assert [number for page in paged for number in page] == left
    # Across runs too, which is read in another way.
    task = {"task_run_id": {"any_": [run.dropped, run.kept]}}
    assert await messages(client, logs=task) == [number for number in left if number % 3 == 1]
    assert await messages(client, logs={"task_run_id": {"any_": [run.dropped]}}) == []
    download = await client.get(f"/flow_runs/{run.flow_run}/logs/download")
    assert [int(row.split(",")[4]) for row in download.text.splitlines()[1:]] == left


async def test_a_run_without_deleted_tasks_is_read_as_before(
    shared_client: httpx.AsyncClient,
) -> None:
    run, other = await make_run(shared_client), await make_run(shared_client)
    await shared_client.delete(f"/task_runs/{other.dropped}")
    await post(shared_client, run.lines(0, 9) + other.lines(0, 9))
    both = {"flow_run_id": {"any_": [run.flow_run, other.flow_run]}}
    one = {"flow_run_id": {"any_": [run.flow_run]}}
    assert await messages(shared_client, logs=one) == list(range(9))
    assert len(await messages(shared_client, logs=both)) == 9 + 6


async def test_followers_do_not_see_its_lines_either(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    run = await make_run(shared_client)
    await shared_client.delete(f"/task_runs/{run.dropped}")
    on = LogFilter(flow_run_id=FlowRunIdFilter(any_=[uuid.UUID(run.flow_run)]))
    async with shared_services.tail.follow(Wanted(log_filter=on), texts) as deliveries:
        await post(shared_client, run.lines(0, 9))
        seen = [int(text) for text in await messages_of(deliveries, 6)]
    assert seen == [number for number in range(9) if number % 3]
