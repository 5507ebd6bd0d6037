"""How long a posted line takes to be seen by another process.

One process posts single lines of one run at random moments, another one asks for the newest line
of that run again and again. Both read the monotonic clock of the machine, which they share. The
delay runs from the start of the post to the end of the first answer that shows the line, so it
includes up to one poll interval and the poll itself.
"""

import datetime as dt
import multiprocessing
import time
import uuid
from http.client import HTTPConnection
from multiprocessing.connection import Connection as Pipe
from random import Random

import msgspec

from bench.driver import LoadFailed, Target, percentile

POLL_SECONDS = 0.003
LATEST_SECONDS = 30.0
_HEADERS = {"Content-Type": "application/json"}


class VisibleResult(msgspec.Struct, frozen=True, kw_only=True):
    """Delays in milliseconds."""

    lines: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Newest(msgspec.Struct, frozen=True, kw_only=True):
    message: str


def _poll(target: Target, flow_run_id: str, lines: int, pipe: Pipe) -> None:
    connection = HTTPConnection("127.0.0.1", target.port, timeout=LATEST_SECONDS)
    query = {
        "logs": {"flow_run_id": {"any_": [flow_run_id]}},
        "sort": "TIMESTAMP_DESC",
        "limit": 1,
    }
    body = msgspec.json.encode(query)
    decode = msgspec.json.Decoder(list[_Newest]).decode
    seen: list[float] = []
    last_news = time.monotonic()
    pipe.send("ready")
    while len(seen) < lines and time.monotonic() - last_news < LATEST_SECONDS:
        connection.request("POST", "/api/logs/filter", body, _HEADERS)
        newest = decode(connection.getresponse().read())
        now = time.monotonic()
        if newest and int(newest[0].message) >= len(seen):
            last_news = now
            seen += [now] * (int(newest[0].message) + 1 - len(seen))
        time.sleep(POLL_SECONDS)
    pipe.send(seen)


def _post(target: Target, flow_run_id: str, lines: int, pipe: Pipe) -> None:
    connection = HTTPConnection("127.0.0.1", target.port, timeout=LATEST_SECONDS)
    rng = Random("visible")
    posted: list[float] = []
    for number in range(lines):
        time.sleep(0.02 + 0.06 * rng.random())
        line = {
            "name": "prefect.flow_runs",
            "level": 20,
            "message": str(number),
            "timestamp": dt.datetime.now(dt.UTC).isoformat(),
            "flow_run_id": flow_run_id,
        }
        posted.append(time.monotonic())
        connection.request("POST", "/api/logs/", msgspec.json.encode([line]), _HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise LoadFailed(f"a line was answered {answer.status}")
    pipe.send(posted)


def measure_visible(target: Target, lines: int) -> VisibleResult:
    """Post `lines` lines and watch them appear.

    Raises:
        LoadFailed: one did not appear within 30 s, or a process died.
    """
    context = multiprocessing.get_context("spawn")
    flow_run_id = str(uuid.uuid4())
    receivers: list[Pipe] = []
    processes: list[multiprocessing.process.BaseProcess] = []
    try:
        for work in (_poll, _post):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(target, flow_run_id, lines, theirs))
            process.start()
            theirs.close()
            processes.append(process)
            receivers.append(ours)
            if work is _poll:
                ours.recv()
        posted: list[float] = receivers[1].recv()
        seen: list[float] = receivers[0].recv()
    except EOFError as error:
        raise LoadFailed("the poster or the poller died") from error
    finally:
        for process in processes:
            process.join(timeout=LATEST_SECONDS)
            if process.is_alive():
                process.kill()
    if len(seen) < lines:
        raise LoadFailed(f"only {len(seen)} of {lines} lines became visible")
    delays = sorted((after - before) * 1e3 for before, after in zip(posted, seen, strict=False))
    return VisibleResult(
        lines=lines,
        p50_ms=percentile(delays, 0.50),
        p99_ms=percentile(delays, 0.99),
        max_ms=delays[-1],
    )
