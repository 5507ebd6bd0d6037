"""Writers that remember what was acknowledged, and readers that hold the server to it.

A run's lines are numbered from 0 and posted in that order by one writer, with timestamps that
never go back (three lines share each). So the answer to any page is known: a run read oldest
first from offset N must give lines N, N+1, N+2 …, and at least as many as were acknowledged before
the question was asked. A line that is missing, twice or out of place breaks the sequence.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import shake_128

import httpx
import msgspec

PAGE = 200
EQUAL_TIMESTAMPS = 3
REQUEST_SECONDS = 20.0
RETRY_PAUSE_SECONDS = 0.05


@dataclass(kw_only=True)
class Run:
    """The lines of one run: those below `acknowledged` were answered 201, those below `posted`
    were sent. `noise` bytes at the end of each do not compress well."""

    noise: int = 0
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    begun: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    posted: int = 0
    acknowledged: int = 0

    def next_lines(self, count: int) -> list[dict[str, object]]:
        """The following lines of this run, as they are posted."""
        lines = [self.line(number) for number in range(self.posted, self.posted + count)]
        self.posted += count
        return lines

    def line(self, number: int) -> dict[str, object]:
        """One line; the same number always gives the same line."""
        moment = self.begun + dt.timedelta(milliseconds=number // EQUAL_TIMESTAMPS)
        noise = shake_128(f"{number} of {self.id}".encode()).hexdigest(self.noise)
        return {
            "name": "prefect.flow_runs",
            "level": 10 * (1 + number % 5),
            "message": f"{number} of {self.id}: loaded {number * 7919 % 10007} rows{noise}",
            "timestamp": moment.isoformat(),
            "flow_run_id": str(self.id),
            "task_run_id": None,
        }


class Logs:
    """What is checked of a line that was read."""

    class Line(msgspec.Struct, frozen=True, kw_only=True):
        """A line as it is read back."""

        id: uuid.UUID
        message: str
        level: int
        timestamp: dt.datetime
        flow_run_id: uuid.UUID | None

        @property
        def number(self) -> int:
            """Its place in its run."""
            return int(self.message.partition(" ")[0])

    decoder = msgspec.json.Decoder(list[Line])


class Answered(Exception):
    """The server answered with an error."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code} {response.text[:500]}")
        self.status_code = response.status_code
        self.body = response.text


async def post_once(client: httpx.AsyncClient, runs: Sequence[Run], lines_per_run: int) -> int:
    """Post the next lines of these runs in one body; gives the status code.

    Lines count as acknowledged when it is 201.
    """
    body = msgspec.json.encode([line for run in runs for line in run.next_lines(lines_per_run)])
    response = await client.post("/logs/", content=body)
    if response.status_code == 201:
        for run in runs:
            run.acknowledged = run.posted
    return response.status_code


async def write(
    client: httpx.AsyncClient,
    runs: Sequence[Run],
    stop: asyncio.Event,
    *,
    lines_per_run: int = 20,
    pause: float = 0.0,
) -> int:
    """Post to `runs` until stopped, each body again and again until it is acknowledged, as the
    client does. Gives the number of retries."""
    retries = 0
    while not stop.is_set():
        body = msgspec.json.encode([line for run in runs for line in run.next_lines(lines_per_run)])
        while not await _acknowledged(client, body):
            retries += 1
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
        for run in runs:
            run.acknowledged = run.posted
        await asyncio.sleep(pause)
    return retries


async def _acknowledged(client: httpx.AsyncClient, body: bytes) -> bool:
    try:
        response = await client.post("/logs/", content=body)
    except httpx.TransportError:
        return False
    if response.status_code not in (201, 503):
        raise Answered(response)
    return response.status_code == 201


async def read(
    client: httpx.AsyncClient,
    log_filter: Mapping[str, object],
    *,
    offset: int = 0,
    descending: bool = False,
) -> list[Logs.Line]:
    """One page of what matches.

    Raises:
        Answered: with anything but 200.
    """
    response = await client.post(
        "/logs/filter",
        json={
            "logs": log_filter,
            "sort": "TIMESTAMP_DESC" if descending else "TIMESTAMP_ASC",
            "limit": PAGE,
            "offset": offset,
        },
    )
    if response.status_code != 200:
        raise Answered(response)
    return Logs.decoder.decode(response.content)


async def read_page(
    client: httpx.AsyncClient, run: Run, offset: int, *, descending: bool = False
) -> list[Logs.Line]:
    """One page of a run. Raises as `read` does."""
    log_filter = {"flow_run_id": {"any_": [str(run.id)]}}
    return await read(client, log_filter, offset=offset, descending=descending)


async def check_page(client: httpx.AsyncClient, run: Run, offset: int) -> int:
    """Read a page oldest first and prove that it is right; gives how many lines it had."""
    acknowledged = run.acknowledged
    page = await read_page(client, run, offset)
    numbers = [line.number for line in page]
    due = max(0, min(PAGE, acknowledged - offset))
    assert numbers == list(range(offset, offset + len(numbers))), (offset, numbers)
    assert len(numbers) >= due, f"{len(numbers)} lines from offset {offset}, {due} were due"
    assert len({line.id for line in page}) == len(page)
    return len(page)


async def check_newest(client: httpx.AsyncClient, run: Run) -> None:
    """Read the newest page newest first and prove that it is right."""
    acknowledged = run.acknowledged
    numbers = [line.number for line in await read_page(client, run, 0, descending=True)]
    assert len(numbers) >= min(PAGE, acknowledged), (acknowledged, numbers)
    if numbers:
        newest = numbers[0]
        assert newest >= acknowledged - 1, (newest, acknowledged)
        assert numbers == list(range(newest, newest - len(numbers), -1)), numbers


async def check_filtered(client: httpx.AsyncClient, run: Run, offset: int) -> None:
    """Lines of a run from a level up: three of each five."""
    acknowledged = run.acknowledged
    log_filter = {"flow_run_id": {"any_": [str(run.id)]}, "level": {"ge_": 30}}
    numbers = [line.number for line in await read(client, log_filter, offset=offset)]
    everything = [number for number in range(run.posted) if number % 5 >= 2]
    due = sum(number < acknowledged for number in everything) - offset
    assert numbers == everything[offset : offset + len(numbers)], (offset, numbers)
    assert len(numbers) >= max(0, min(PAGE, due)), (len(numbers), due)


async def check_together(client: httpx.AsyncClient, runs: Sequence[Run]) -> None:
    """Several runs on one page, oldest first: of each the first lines, in order."""
    acknowledged = sum(run.acknowledged for run in runs)
    page = await read(client, {"flow_run_id": {"any_": [str(run.id) for run in runs]}})
    assert len(page) >= min(PAGE, acknowledged)
    assert [line.timestamp for line in page] == sorted(line.timestamp for line in page)
    for run in runs:
        numbers = [line.number for line in page if line.flow_run_id == run.id]
        assert numbers == list(range(len(numbers))), numbers


async def check_search(client: httpx.AsyncClient, run: Run) -> None:
    """A search over all runs, newest first, for a word that only this run's lines have."""
    acknowledged = run.acknowledged
    page = await read(client, {"text": {"query": f"+{run.id}"}}, descending=True)
    numbers = [line.number for line in page]
    assert len(numbers) >= min(PAGE, acknowledged), (acknowledged, numbers)
    if numbers:
        assert numbers[0] >= acknowledged - 1
        assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)), numbers


async def check_whole(client: httpx.AsyncClient, run: Run) -> None:
    """Page through a run that nobody writes to: all its lines are there, once and as posted."""
    lines: list[Logs.Line] = []
    while page := await read_page(client, run, len(lines)):
        lines.extend(page)
    assert [line.number for line in lines] == list(range(run.acknowledged))
    assert len({line.id for line in lines}) == len(lines)
    for line in lines:
        posted = run.line(line.number)
        assert line.message == posted["message"]
        assert line.level == posted["level"]
        assert line.timestamp.isoformat() == posted["timestamp"]
        assert line.flow_run_id == run.id


async def read_forever(client: httpx.AsyncClient, runs: Sequence[Run], stop: asyncio.Event) -> int:
    """Read the runs in turn in every way, checking every answer, until stopped; gives the pages
    read."""
    pages = 0
    while not stop.is_set():
        for run in runs:
            offset = 0
            while not stop.is_set() and (found := await check_page(client, run, offset)):
                offset += found
                pages += 1
            await check_newest(client, run)
            await check_filtered(client, run, max(0, run.acknowledged * 3 // 5 - PAGE // 2))
            await check_together(client, runs[:3])
            await check_search(client, run)
            pages += 4
    return pages
