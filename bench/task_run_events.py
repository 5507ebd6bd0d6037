"""Task runs told over many websockets at once: whether the server keeps up, and in what memory.

As many sockets as there are flow runs at work are open on `/events/in`, and each tells what its task
runs do, in order, at a steady pace: PENDING, RUNNING, COMPLETED, with what a client says each time.
Nothing is answered, so the server keeps up when, soon after the last event was sent, all task runs
are there and completed. Memory is that of all API processes together.
"""

import asyncio
import datetime as dt
import multiprocessing
import time
import uuid
from http.client import HTTPConnection
from multiprocessing.connection import Connection as Pipe

import msgspec
import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bench.driver import LoadFailed, Target
from bench.processes import ServerProcesses
from bench.servers import RunningServer

STATES = (("PENDING", "Pending"), ("RUNNING", "Running"), ("COMPLETED", "Completed"))
# The pace is kept in steps of so many seconds.
TICK_SECONDS = 0.01
OPEN_SECONDS = 60.0
OPEN_AT_ONCE = 50
# What a server does within these first seconds to get to its pace is not growth.
SETTLED_SECONDS = 10.0
LATEST_SECONDS = 180.0
COUNT_EVERY_SECONDS = 0.25


class EventsLoad(msgspec.Struct, frozen=True, kw_only=True):
    """`per_second` events for `seconds` seconds over `sockets` sockets."""

    sockets: int = 1_000
    per_second: int = 5_000
    seconds: float = 60.0

    @property
    def events(self) -> int:
        """Whole task runs on every socket."""
        share = len(STATES) * self.sockets
        return max(1, round(self.per_second * self.seconds / share)) * share


class EventsResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `lag_seconds` is from the last event until all task runs were completed;
    memory of the API processes in MiB when all sockets were open, after ten seconds of load, and
    when all was done."""

    sockets: int
    events: int
    task_runs: int
    sent_per_second: float
    lag_seconds: float
    open_mib: float
    settled_mib: float
    end_mib: float
    cpu_seconds: dict[str, float]
    driver_cpu_seconds: float


class _Sent(msgspec.Struct, frozen=True):
    """When the first and the last event were sent, on the clock that all processes share."""

    first: float
    last: float
    cpu_seconds: float


def event(socket: int, number: int, now: dt.datetime, flow_run_id: uuid.UUID) -> bytes:
    """What socket number `socket` tells as its event number `number`."""
    run, step = divmod(number, len(STATES))
    state_type, state_name = STATES[step]
    previous = STATES[step - 1][0] if step else None
    task_run_id = uuid.UUID(int=(flow_run_id.int & ~0xFFFF_FFFF) | run)
    name = f"load-{run}"
    at = now.isoformat()
    return msgspec.json.encode(
        {
            "id": uuid.uuid4(),
            "occurred": at,
            "event": f"prefect.task-run.{state_name}",
            "resource": {
                "prefect.resource.id": f"prefect.task-run.{task_run_id}",
                "prefect.resource.name": name,
                "prefect.run-count": str(min(step, 1)),
                "prefect.state-message": "",
                "prefect.state-name": state_name,
                "prefect.state-timestamp": at,
                "prefect.state-type": state_type,
                "prefect.orchestration": "client",
            },
            "related": [
                {
                    "prefect.resource.id": f"prefect.flow-run.{flow_run_id}",
                    "prefect.resource.role": "flow-run",
                    "prefect.resource.name": f"bench-{socket}",
                }
            ],
            "payload": {
                "intended": {"from": previous, "to": state_type},
                "initial_state": None if previous is None else {"type": previous},
                "validated_state": {
                    "type": state_type,
                    "name": state_name,
                    "message": "",
                    "state_details": {"pause_reschedule": False, "untrackable_result": False},
                    "data": None,
                },
                "task_run": {
                    "name": name,
                    "task_key": "load-1f2a3b4c",
                    "dynamic_key": str(task_run_id),
                    "empirical_policy": {"retries": 0, "retry_delay": 0, "max_retries": 0},
                    "tags": ["bench"],
                    "labels": {},
                    "task_inputs": {"day": [], "limit": []},
                    "run_count": min(step, 1),
                    "flow_run_run_count": 1,
                    "expected_start_time": at,
                    "start_time": at if step else None,
                    "end_time": at if step == len(STATES) - 1 else None,
                    "total_run_time": 0.0,
                    "estimated_run_time": 0.0,
                },
            },
            "follows": None,
        }
    )


async def _open(target: Target, turn: asyncio.Semaphore) -> ClientConnection:
    async with turn:
        socket = await connect(
            f"ws://127.0.0.1:{target.port}/api/events/in",
            subprotocols=[Subprotocol("prefect")],
            compression=None,
            open_timeout=OPEN_SECONDS,
        )
        await socket.send('{"type": "auth", "token": null}')
        async with asyncio.timeout(OPEN_SECONDS):
            answer = await socket.recv()
        if "auth_success" not in str(answer):
            raise LoadFailed(f"a socket was answered {answer!r}")
        return socket


async def _send(load: EventsLoad, target: Target, pipe: Pipe) -> _Sent:
    turn = asyncio.Semaphore(OPEN_AT_ONCE)
    sockets = await asyncio.gather(*(_open(target, turn) for _ in range(load.sockets)))
    flow_runs = [uuid.UUID(int=uuid.uuid4().int & ~0xFFFF_FFFF) for _ in sockets]
    pipe.send("open")
    await asyncio.to_thread(pipe.recv)
    cpu_before = psutil.Process().cpu_times()
    first = time.monotonic()
    sent = 0
    while sent < load.events:
        now = dt.datetime.now(dt.UTC)
        due = min(load.events, int((time.monotonic() - first + TICK_SECONDS) * load.per_second))
        while sent < due:
            number, socket = divmod(sent, load.sockets)
            text = event(socket, number, now, flow_runs[socket])
            # Waits when the server does not read: then the pace is the server's.
            await sockets[socket].send(text, text=True)
            sent += 1
        await asyncio.sleep(TICK_SECONDS)
    # The pongs say that the server has read what came before.
    pongs = [await socket.ping() for socket in sockets]
    last = time.monotonic()
    async with asyncio.timeout(LATEST_SECONDS):
        await asyncio.gather(*pongs)
    cpu = psutil.Process().cpu_times()
    pipe.send(_Sent(first, last, cpu.user + cpu.system - cpu_before.user - cpu_before.system))
    # Stays connected until memory was read.
    await asyncio.to_thread(pipe.recv)
    await asyncio.gather(*(socket.close() for socket in sockets))
    return _Sent(first, last, 0.0)


def _child(load: EventsLoad, target: Target, pipe: Pipe) -> None:
    try:
        uvloop.run(_send(load, target, pipe))
    except (LoadFailed, OSError, TimeoutError, WebSocketException) as error:
        pipe.send(LoadFailed(f"events: {error or type(error).__name__}"))


def measure_events(server: RunningServer, load: EventsLoad) -> EventsResult:
    """Send the events of a fresh server's first task runs and wait until they are all completed.

    Raises:
        LoadFailed: a socket was refused or closed, or not all task runs were there in time.
    """
    processes = ServerProcesses(server)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_child, args=(load, server.target, theirs), name="bench-events"
    )
    process.start()
    theirs.close()
    try:
        _receive(ours, OPEN_SECONDS * 2)
        cpu_before = processes.cpu_seconds()
        open_mib = settled_mib = processes.memory_mib("api")
        ours.send("go")
        if not ours.poll(SETTLED_SECONDS):
            settled_mib = processes.memory_mib("api")
        sent = _receive(ours, load.seconds + LATEST_SECONDS)
        if not isinstance(sent, _Sent):
            raise LoadFailed(f"the sender answered {sent!r}")
        task_runs = load.events // len(STATES)
        completed_at = _wait_for(server.target, task_runs)
        end_mib = processes.memory_mib("api")
        cpu_after = processes.cpu_seconds()
        ours.send("close")
    except EOFError as error:
        raise LoadFailed("the sender of events died") from error
    finally:
        process.join(timeout=30)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()
    return EventsResult(
        sockets=load.sockets,
        events=load.events,
        task_runs=task_runs,
        sent_per_second=load.events / (sent.last - sent.first),
        lag_seconds=max(0.0, completed_at - sent.last),
        open_mib=open_mib,
        settled_mib=settled_mib,
        end_mib=end_mib,
        cpu_seconds={role: cpu_after[role] - cpu_before.get(role, 0.0) for role in cpu_after},
        driver_cpu_seconds=sent.cpu_seconds,
    )


def _receive(pipe: Pipe, seconds: float) -> object:
    if not pipe.poll(seconds):
        raise LoadFailed(f"nothing from the sender of events for {seconds:.0f} s")
    answer = pipe.recv()
    if isinstance(answer, LoadFailed):
        raise answer
    return answer


def _wait_for(target: Target, task_runs: int) -> float:
    """When so many task runs were completed, on the clock that all processes share."""
    body = msgspec.json.encode({"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    headers = {"Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", target.port, timeout=LATEST_SECONDS)
    began = time.monotonic()
    try:
        while True:
            connection.request("POST", "/api/task_runs/count", body, headers)
            found = int(connection.getresponse().read())
            now = time.monotonic()
            if found == task_runs:
                return now
            if now - began > LATEST_SECONDS or found > task_runs:
                raise LoadFailed(f"{found} of {task_runs} task runs are completed")
            time.sleep(COUNT_EVERY_SECONDS)
    finally:
        connection.close()
