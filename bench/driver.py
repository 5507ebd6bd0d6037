"""Load over HTTP, the same for every server, made by a process of its own.

A *script* is what one keep-alive connection does: a generator that yields complete requests and is
sent their responses. Requests are built before the clock starts and responses are hardly parsed, so
that a request costs this process some 20 µs and the server is what is measured.

A *load* says what to do; `run_load` does it in a child process and gives a `LoadResult`. The rate
counts what was acknowledged from the first request to the last answer: when the time is up no
request is begun, and those under way are waited for.
"""

import asyncio
import itertools
import multiprocessing
import os
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from http.client import HTTPConnection
from multiprocessing.connection import Connection as Pipe
from random import Random
from typing import Protocol, TypeAlias

import msgspec
import uvloop
from typing_extensions import override

from bench.corpus import CorpusSpec, Run, batches, corpus_runs

# A request that takes longer than this fails the load; the reference takes half a minute for
# 64 batches of 1,000 lines at once.
ANSWER_SECONDS = 240.0
CONNECT_SECONDS = 10.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a server. The port is on 127.0.0.1."""

    port: int


class Response(msgspec.Struct, frozen=True, gc=False):
    """A response's status and its body, decoded from the transfer coding."""

    status: int
    body: bytes


Script: TypeAlias = Generator[bytes, Response, None]


class LoadFailed(Exception):
    """The server did what makes the measurement worthless. Says what."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a load measured. Latencies in milliseconds; `units` are what the load counts (lines,
    pages, runs), `failures` the requests answered with anything but what was asked for."""

    requests: int
    units: int
    seconds: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float = 0.0
    failures: int
    first_failure: str
    driver_cpu_seconds: float


class Tally:
    """What the scripts of one load share: the deadline, and what came of the requests."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = 0.0
        self.units = 0
        self.failures = 0
        self.first_failure = ""

    @property
    def time_is_up(self) -> bool:
        return time.perf_counter() >= self.deadline

    def failed(self, response: Response) -> None:
        self.failures += 1
        if not self.first_failure:
            self.first_failure = (
                f"{response.status} {response.body[:300].decode('utf-8', 'replace')}"
            )


def request(
    target: Target, method: str, path: str, body: bytes = b"", headers: Sequence[str] = ()
) -> bytes:
    """A complete HTTP/1.1 request."""
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{target.port}",
        "User-Agent: tailrace-bench",
        "Accept: */*",
        *headers,
    ]
    if method != "GET":
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


# One connection ----------------------------------------------------------------


class ScriptedConnection(asyncio.Protocol):
    """Runs one script, one request at a time. `done` ends with it or with what went wrong."""

    def __init__(self, script: Script, latencies: "array[float]") -> None:
        self._script = script
        self._latencies = latencies
        self._received = bytearray()
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, transport: asyncio.WriteTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._go_on(lambda: next(self._script))

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        response = self._take_response()
        if response is not None:
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._go_on(lambda: self._script.send(response))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailed(f"the server closed a connection: {exc}"))

    def _go_on(self, advance: Callable[[], bytes]) -> None:
        try:
            following = advance()
        except StopIteration:
            self.done.set_result(None)
        except LoadFailed as error:
            self.done.set_exception(error)
        else:
            self._sent_at = time.perf_counter()
            if self._transport is not None:
                self._transport.write(following)
            return
        if self._transport is not None:
            self._transport.close()

    def _take_response(self) -> Response | None:
        received = self._received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(received[:end]).lower()
        status = int(head[9:12])
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            line_end = head.find(b"\r\n", at + 2)
            length = int(head[at + 17 : line_end if line_end >= 0 else len(head)])
            if len(received) < end + 4 + length:
                return None
            body = bytes(received[end + 4 : end + 4 + length])
        elif b"\r\ntransfer-encoding: chunked" in head:
            if not received.endswith(b"0\r\n\r\n"):
                return None
            body = _join_chunks(bytes(received[end + 4 :]))
        else:
            body = b""
        self._received = bytearray()
        return Response(status, body)


def _join_chunks(coded: bytes) -> bytes:
    parts = []
    at = 0
    while True:
        line_end = coded.index(b"\r\n", at)
        length = int(coded[at:line_end].split(b";")[0], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(coded[line_end + 2 : line_end + 2 + length])
        at = line_end + 2 + length + 2


class Load(Protocol):
    """What to do, as a value that can be sent to another process."""

    @property
    def seconds(self) -> float: ...

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        """One script for each connection; everything that can be prepared is prepared here."""
        ...


# Loads ------------------------------------------------------------------------------


class IngestLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Post the corpus in batches of `batch_lines`, `count` of them from batch `first_batch` on,
    until they or the time are used up. Counts acknowledged lines."""

    corpus: CorpusSpec
    batch_lines: int
    connections: int
    seconds: float
    first_batch: int = 0
    count: int | None = None

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        end = None if self.count is None else self.first_batch + self.count
        chosen = itertools.islice(batches(self.corpus, self.batch_lines), self.first_batch, end)
        ready = [(request(target, "POST", "/api/logs/", body), lines) for body, lines in chosen]
        feed = iter(ready)
        return [_post_batches(feed, tally) for _ in range(self.connections)]


def _post_batches(feed: Iterator[tuple[bytes, int]], tally: Tally) -> Script:
    for body, lines in feed:
        response = yield body
        if response.status == 201:
            tally.units += lines
        else:
            tally.failed(response)
        if tally.time_is_up:
            return


class PageLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Read pages of 200 lines, each of any of `runs` runs (None: all) and at any offset in it.
    Counts pages; a page with too few or too many lines fails the load."""

    corpus: CorpusSpec
    pages: int
    runs: int | None = None
    connections: int = 1
    seconds: float = 60.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        runs = corpus_runs(self.corpus)
        if self.runs is not None:
            runs = Random("runs").sample(runs, min(self.runs, len(runs)))
        return page_scripts(target, tally, runs, self.pages, self.connections)


def page_scripts(
    target: Target, tally: Tally, runs: Sequence[Run], pages: int, connections: int
) -> list[Script]:
    """Read so many pages of 200 lines of any of these runs."""
    rng = Random("pages")
    wanted: list[tuple[bytes, int]] = []
    for _ in range(pages):
        run = rng.choice(runs)
        # The first page is what most readers ask for; the rest is spread over the run.
        offset = 0 if rng.random() < 0.5 else 200 * rng.randrange((run.lines + 199) // 200)
        query = {
            "logs": {"flow_run_id": {"any_": [run.flow_run_id]}},
            "sort": "TIMESTAMP_ASC",
            "limit": 200,
            "offset": offset,
        }
        body = msgspec.json.encode(query)
        wanted.append(
            (
                request(target, "POST", "/api/logs/filter", body),
                min(200, run.lines - offset),
            )
        )
    feed = iter(wanted)
    return [_read_pages(feed, tally) for _ in range(connections)]


def _read_pages(feed: Iterator[tuple[bytes, int]], tally: Tally) -> Script:
    for query, lines in feed:
        response = yield query
        if response.status != 200:
            tally.failed(response)
        elif (found := response.body.count(b'"flow_run_id"')) != lines:
            raise LoadFailed(f"a page has {found} lines instead of {lines}: {query!r}")
        else:
            tally.units += 1
        if tally.time_is_up:
            return


class LifecycleLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Take flow runs from PENDING (created so) through RUNNING to COMPLETED, as a client that
    executes a flow does. Counts completed runs."""

    connections: int
    seconds: float

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        flow_id = _create_flow(target)
        return [_execute_runs(target, flow_id, tally) for _ in range(self.connections)]


def _create_flow(target: Target) -> str:
    connection = HTTPConnection("127.0.0.1", target.port, timeout=CONNECT_SECONDS)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/flows/", b'{"name": "bench-lifecycle"}', headers)
    answer = connection.getresponse().read()
    connection.close()
    return str(msgspec.json.decode(answer)["id"])


def _execute_runs(target: Target, flow_id: str, tally: Tally) -> Script:
    create = request(
        target,
        "POST",
        "/api/flow_runs/",
        msgspec.json.encode(
            {
                "flow_id": flow_id,
                "flow_version": "1",
                "parameters": {"day": "2026-11-20", "limit": 100},
                "context": {},
                "tags": ["bench"],
                "labels": {},
                "empirical_policy": {"retries": 0, "retry_delay": 0},
                "state": flow_run_state("PENDING", "Pending"),
            }
        ),
    )
    running = msgspec.json.encode({"state": flow_run_state("RUNNING", "Running"), "force": False})
    completed = msgspec.json.encode(
        {"state": flow_run_state("COMPLETED", "Completed"), "force": False}
    )
    while not tally.time_is_up:
        response = yield create
        if response.status != 201:
            tally.failed(response)
            continue
        path = f"/api/flow_runs/{msgspec.json.decode(response.body, type=_Created).id}/set_state"
        for body in (running, completed):
            response = yield request(target, "POST", path, body)
            if b'"ACCEPT"' not in response.body:
                tally.failed(response)
                break
        else:
            tally.units += 1


class _Created(msgspec.Struct, frozen=True, kw_only=True):
    id: str


def flow_run_state(type_: str, name: str) -> dict[str, object]:
    """A state as clients propose it."""
    return {"type": type_, "name": name, "message": None, "data": None, "state_details": {}}


# The child process ------------------------------------------------------------------


async def _drive(load: Load, target: Target, wait_for_go: Callable[[], None]) -> LoadResult:
    loop = asyncio.get_running_loop()
    tally = Tally(load.seconds)
    latencies: array[float] = array("d")
    connections: list[tuple[asyncio.WriteTransport, ScriptedConnection]] = []
    scripts = load.scripts(target, tally)
    for script in scripts:
        async with asyncio.timeout(CONNECT_SECONDS):
            transport, connection = await loop.create_connection(
                lambda script=script: ScriptedConnection(script, latencies),
                "127.0.0.1",
                target.port,
            )
        connections.append((transport, connection))
    wait_for_go()
    cpu_before = _cpu_seconds()
    began = time.perf_counter()
    tally.deadline = began + load.seconds
    for transport, connection in connections:
        connection.begin(transport)
    async with asyncio.timeout(load.seconds + ANSWER_SECONDS):
        await asyncio.gather(*(connection.done for _, connection in connections))
    seconds = time.perf_counter() - began
    if not tally.units:
        raise LoadFailed(f"all of {len(latencies)} requests failed: {tally.first_failure}")
    ordered = sorted(latencies)
    return LoadResult(
        requests=len(ordered),
        units=tally.units,
        seconds=seconds,
        per_second=tally.units / seconds,
        p50_ms=percentile(ordered, 0.50) * 1e3,
        p95_ms=percentile(ordered, 0.95) * 1e3,
        p99_ms=percentile(ordered, 0.99) * 1e3,
        max_ms=ordered[-1] * 1e3,
        failures=tally.failures,
        first_failure=tally.first_failure,
        driver_cpu_seconds=_cpu_seconds() - cpu_before,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _child(load: Load, target: Target, pipe: Pipe) -> None:
    def wait_for_go() -> None:
        pipe.send("ready")
        pipe.recv()

    try:
        pipe.send(uvloop.run(_drive(load, target, wait_for_go)))
    except (LoadFailed, OSError, TimeoutError) as error:
        pipe.send(LoadFailed(f"{type(load).__name__}: {error or type(error).__name__}"))


def run_load(load: Load, target: Target, before: Callable[[], None] = lambda: None) -> LoadResult:
    """Run the load in a child process. `before` is called when all is prepared and nothing has been
    sent yet. Blocks until the load is done.

    Raises:
        LoadFailed: the server broke off, answered wrongly, or refused everything. Single refusals
            are counted: the reference answers some of 64 batches of 1,000 with 500.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(load, target, theirs), name="bench-driver")
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
        if answer == "ready":
            before()
            ours.send("go")
            answer = ours.recv()
    except EOFError as error:
        raise LoadFailed("the driver process died") from error
    finally:
        process.join(timeout=30)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()
    if isinstance(answer, LoadResult):
        return answer
    raise answer
