"""Live log lines as server-sent events: none missed and none twice, whatever happens in between."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.services import ServicesConfig
from app.wire.base import new_id
from storage.logs import offload
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.api.sse import follow
from tests.api.test_logs_out import line
from tests.processes import ApiProcess


@pytest.fixture
async def http(server: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to a real server: a client without a socket gets a response when it has ended."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def _post(client: httpx.AsyncClient, run: str, *messages: str, level: int = 20) -> None:
    lines = [line(message, run=run, level=level) for message in messages]
    assert (await client.post("/logs/", json=lines)).status_code == 201


async def test_a_stream_begins_with_the_newest_lines_and_goes_on_live(
    http: httpx.AsyncClient,
) -> None:
    run = str(new_id())
    await _post(http, run, "a", "b", "c")
    async with follow(http, flow_run_id=run, backfill=2) as stream:
        assert await stream.messages(2) == ["b", "c"]
        await _post(http, str(new_id()), "of another run")
        # Neither ends a line of the stream.
        await _post(http, run, "d\u2028e\x85f")
        assert await stream.messages(1) == ["d\u2028e\x85f"]


async def test_a_stream_has_only_what_matches(http: httpx.AsyncClient) -> None:
    run, other = str(new_id()), str(new_id())
    query = {"flow_run_id": [run, other], "level": 30, "logger": ["prefect.flow_runs"]}
    async with follow(http, **query, text="loud -quiet") as stream:
        await stream.until_idle()
        await _post(http, run, "loud but low")
        await _post(http, run, "loud and quiet", "something", "loud 1", level=40)
        await _post(http, other, "loud 2", level=30)
        await _post(http, str(new_id()), "loud 3", level=40)
        await _post(http, run, "loud 4", level=40)
        assert await stream.messages(3) == ["loud 1", "loud 2", "loud 4"]


async def test_a_stream_goes_on_elsewhere_where_it_broke_off(
    http: httpx.AsyncClient, services_config: ServicesConfig, pool: Pool, objects: S3ObjectStore
) -> None:
    """On another process, with lines that were offloaded while nobody followed."""
    run = str(new_id())
    async with follow(http, flow_run_id=run) as stream:
        await stream.until_idle()
        await _post(http, run, "a")
        assert await stream.messages(1) == ["a"]
        last = stream.last_event_id
    await _post(http, run, "b", "c")
    await offload.offload_pass(pool, objects, force=True)
    await _post(http, run, "d")
    async with (
        ApiProcess.run(services_config) as other,
        httpx.AsyncClient(base_url=other.url) as elsewhere,
    ):
        async with follow(elsewhere, flow_run_id=run, last_event_id=last) as stream:
            assert await stream.messages(3) == ["b", "c", "d"]
            await _post(http, run, "e")
            assert await stream.messages(1) == ["e"]
            last = stream.last_event_id
        async with follow(http, flow_run_id=run, last_event_id=last) as stream:
            await _post(elsewhere, run, "f")
            assert await stream.messages(1) == ["f"]


async def test_a_deleted_run_has_no_lines_any_more(http: httpx.AsyncClient) -> None:
    flow = (await http.post("/flows/", json={"name": "f"})).json()
    run = (await http.post("/flow_runs/", json={"flow_id": flow["id"]})).json()["id"]
    living = str(new_id())
    async with follow(http) as stream:
        await stream.until_idle()
        await _post(http, run, "a")
        assert await stream.messages(1) == ["a"]
        assert (await http.delete(f"/flow_runs/{run}")).status_code == 204
        await _post(http, run, "b")
        await _post(http, living, "c")
        assert await stream.messages(1) == ["c"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"flow_run_id": "x"}, "flow_run_id"),
        ({"backfill": 1001}, "backfill"),
        ({"last_event_id": "yesterday"}, "last_event_id"),
        # Of another installation: no batch has such an id here.
        ({"last_event_id": "5000000.1"}, "last_event_id"),
    ],
)
async def test_a_wrong_question_names_the_parameter(
    shared_client: httpx.AsyncClient, query: dict[str, str | int], name: str
) -> None:
    answer = await shared_client.get("/tailrace/logs/stream", params=query)
    assert answer.status_code == 422, answer.text
    assert name in str(answer.json()["exception_detail"])


async def test_a_server_that_stops_ends_its_streams(server: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client, follow(client) as stream:
        await stream.until_idle()
        assert await server.stop() == 0
        with pytest.raises(StopAsyncIteration):
            await stream.next()
