"""`tailrace logs show --follow`: all lines of a run, those that were there and those that come, once."""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from app.event_stream import ServerEvent, server_events
from app.log_printer import Line, LogClient, Run
from app.services import ServicesConfig
from storage.embedded.errors import CannotStart
from storage.logs.offload import offload_pass
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.processes import ApiProcess, free_port

WITHIN = 30.0


class Writer:
    """A flow run, in parts: it writes numbered lines and ends."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.run = ""
        self.written = 0

    async def begin(self) -> None:
        """Make the run."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as api:
            flow = (await api.post("/flows/", json={"name": "talkative"})).json()
            body = {"flow_id": flow["id"], "state": {"type": "RUNNING"}}
            self.run = (await api.post("/flow_runs/", json=body)).json()["id"]

    async def write(self, count: int, *, task: str | None = None) -> None:
        """Write the next lines, and one of another run."""
        numbers = range(self.written, self.written + count)
        self.written += count
        begun = dt.datetime(2026, 11, 24, 8, tzinfo=dt.UTC)
        lines = [
            {
                "name": "prefect.flow_runs",
                "level": 20 + 20 * (number % 2),
                # Ends of lines for everybody but JSON and server-sent events.
                "message": f"{number}\n\n\u2028\x85 end",
                "timestamp": (begun + dt.timedelta(milliseconds=number)).isoformat(),
                "flow_run_id": self.run or None,
                "task_run_id": task,
            }
            for number in numbers
        ]
        other = {
            **lines[0],
            "flow_run_id": str(uuid.uuid4()),
            "task_run_id": None,
            "message": "other",
        }
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as api:
            (await api.post("/logs/", json=[*lines, other])).raise_for_status()

    async def end(self) -> None:
        """Complete the run."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as api:
            body = {"state": {"type": "COMPLETED"}, "force": True}
            (await api.post(f"/flow_runs/{self.run}/set_state", json=body)).raise_for_status()


class Follower:
    """What `--follow` prints, as it comes."""

    def __init__(self, url: str, run: str, level: int = 0) -> None:
        self.numbers: list[int] = []
        self._grown = asyncio.Event()
        self._task = asyncio.create_task(self._follow(url, run, level))

    async def _follow(self, url: str, run: str, level: int) -> None:
        async with LogClient(url, None) as client:
            async for line in client.follow(await client.find_run(run), level=level):
                self.numbers.append(number_of(line))
                self._grown.set()

    async def has(self, count: int) -> None:
        """Wait until it has given so many lines."""
        async with asyncio.timeout(WITHIN):
            while len(self.numbers) < count:
                self._grown.clear()
                if self._task.done():
                    await self._task
                    raise AssertionError(f"it ended with {self.numbers}")
                grown = asyncio.ensure_future(self._grown.wait())
                await asyncio.wait([grown, self._task], return_when=asyncio.FIRST_COMPLETED)
                grown.cancel()

    async def ended(self) -> list[int]:
        """Wait until it ends by itself; gives the numbers of all lines."""
        async with asyncio.timeout(WITHIN):
            await self._task
        return self.numbers

    async def stop(self) -> None:
        """End it, if it still goes on."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def number_of(line: Line) -> int:
    """Of a line that `Writer` wrote."""
    return int(str(line["message"]).partition("\n")[0])


@pytest.fixture
async def api(services_config: ServicesConfig) -> AsyncIterator[ApiProcess]:
    """An API process."""
    async with ApiProcess.run(services_config) as process:
        yield process


@pytest.fixture
async def writer(api: ApiProcess) -> Writer:
    """A run that has begun."""
    writer = Writer(api.url)
    await writer.begin()
    return writer


async def test_a_follower_is_given_what_was_there_and_what_comes(
    api: ApiProcess, writer: Writer, pool: Pool, objects: S3ObjectStore
) -> None:
    await writer.write(1500)
    await offload_pass(pool, objects, force=True)
    await writer.write(300)
    follower = Follower(api.url, writer.run)
    # Some of these come while it still reads what was there.
    for _ in range(20):
        await writer.write(10)
    await follower.has(2000)
    await writer.write(5)
    await follower.has(2005)
    await writer.write(1)
    await writer.end()
    assert await follower.ended() == list(range(2006))


async def test_a_follower_of_a_level_is_given_nothing_else(api: ApiProcess, writer: Writer) -> None:
    await writer.write(10)
    follower = Follower(api.url, writer.run, level=40)
    await follower.has(5)
    await writer.write(10)
    await writer.end()
    assert await follower.ended() == list(range(1, 20, 2))


async def test_a_follower_goes_on_when_the_api_is_started_again(
    services_config: ServicesConfig, pool: Pool, objects: S3ObjectStore
) -> None:
    port = free_port()
    api = await ApiProcess.start(services_config, port=port)
    async with ApiProcess.run(services_config) as other:
        writer = Writer(other.url)
        await writer.begin()
        await writer.write(700)
        follower = Follower(api.url, writer.run)
        try:
            await follower.has(700)
            for kill in (api.kill, api.stop):
                await kill()
                # Written while it is away; some of it lies in S3 by the time that it is back.
                await writer.write(300)
                await offload_pass(pool, objects, force=True)
                await writer.write(50)
                api = await ApiProcess.start(services_config, port=port)
                await follower.has(writer.written)
                await writer.write(5)
                await follower.has(writer.written)
            await writer.end()
            assert await follower.ended() == list(range(writer.written))
        finally:
            await follower.stop()
            await api.kill()


@pytest.mark.parametrize("within", ["a flow run", "no flow run"])
async def test_the_lines_of_a_task_run_are_followed(
    api: ApiProcess, writer: Writer, within: str
) -> None:
    task, other = (str(uuid.uuid4()) for _ in range(2))
    if within == "no flow run":
        writer.run = ""
    run = Run(kind="task", id=task, flow_run_id=writer.run or None)
    await writer.write(3, task=task)
    await writer.write(2, task=other)
    found: list[int] = []
    async with LogClient(api.url, None) as client, asyncio.timeout(WITHIN):
        # The server knows no such task run, so it counts as ended.
        async for line in client.follow(run, level=0):
            found.append(number_of(line))
            if len(found) == 3:
                await writer.write(1, task=other)
                await writer.write(2, task=task)
    assert found == [0, 1, 2, 6, 7]


async def test_a_server_that_stays_away_is_told_of(
    services_config: ServicesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.log_printer.AWAY_SECONDS", 1.0)
    async with ApiProcess.run(services_config) as api:
        writer = Writer(api.url)
        await writer.begin()
        await writer.write(1)
        follower = Follower(api.url, writer.run)
        await follower.has(1)
    with pytest.raises(CannotStart, match="no server answers"):
        await follower.ended()


async def _parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_events_are_whole_however_their_bytes_come() -> None:
    text = (
        'retry: 1\n\nevent: lines\nid: 5.6\ndata: ["\u2028\x85"]\n\n: nothing new\nid: 7.8\n\nid: 9'
    )
    expected = [
        ServerEvent(),
        ServerEvent(kind="lines", id="5.6", data='["\u2028\x85"]'.encode()),
        ServerEvent(id="7.8"),
    ]
    body = text.encode()
    for parts in ([body], [body[at : at + 1] for at in range(len(body))]):
        assert [event async for event in server_events(_parts(*parts))] == expected
