"""Loads of workers and of what they start: runs that wait in a pool, polls and claims, states.

Each load makes or finds what it needs over the API, so that it is the same for every server.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection

import msgspec

from bench.driver import (
    ANSWER_SECONDS,
    LoadFailed,
    Script,
    Tally,
    Target,
    flow_run_state,
    request,
)

POOL = "bench-pool"
FLOW = "bench-work"
# As far as workers look ahead.
AHEAD = dt.timedelta(seconds=10)
PAGE = 200


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    id: str


class _Handed(msgspec.Struct, frozen=True, kw_only=True):
    flow_run: _Known


def ask(target: Target, path: str, body: object) -> bytes:
    """The answer to one POST, outside of what is measured.

    Raises:
        LoadFailed: it was refused.
    """
    connection = HTTPConnection("127.0.0.1", target.port, timeout=ANSWER_SECONDS)
    try:
        connection.request(
            "POST", f"/api{path}", msgspec.json.encode(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status >= 300:
        raise LoadFailed(f"{path} was answered {response.status} {answer[:300]!r}")
    return answer


class CreateRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Create `count` runs: `due`, of a deployment on a new pool, or else PENDING ones without
    deployment. Counts created runs."""

    count: int
    due: bool
    connections: int = 16
    seconds: float = 240.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        flow = msgspec.json.decode(ask(target, "/flows/", {"name": FLOW}), type=_Known)
        path = "/api/flow_runs/"
        body: dict[str, object] = {"flow_id": flow.id}
        if self.due:
            ask(target, "/work_pools/", {"name": POOL, "type": "process"})
            deployment = msgspec.json.decode(
                ask(
                    target,
                    "/deployments/",
                    {"name": "bench", "flow_id": flow.id, "work_pool_name": POOL},
                ),
                type=_Known,
            )
            path, body = f"/api/deployments/{deployment.id}/create_flow_run", dict[str, object]()
        else:
            body |= {"state": flow_run_state("PENDING", "Pending")}
        ready = request(target, "POST", path, msgspec.json.encode(body))
        feed = iter([ready] * self.count)
        return [_create_runs(feed, tally) for _ in range(self.connections)]


def _create_runs(feed: Iterator[bytes], tally: Tally) -> Script:
    for ready in feed:
        response = yield ready
        if response.status != 201:
            raise LoadFailed(f"a run was answered {response.status} {response.body[:300]!r}")
        tally.units += 1
        if tally.time_is_up:
            return


class PollLoad(msgspec.Struct, frozen=True, kw_only=True):
    """`workers` workers, each on a connection of its own, poll the pool and claim what they get,
    until `runs` runs are claimed or the time is up. Counts claimed runs; refused claims are
    failures. A run that two workers are given fails the load."""

    runs: int
    workers: int = 100
    limit: int = 20
    seconds: float = 30.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        claims = Counter[str]()
        at_work = set(range(self.workers))
        return [self._work(target, tally, claims, at_work, me) for me in range(self.workers)]

    def _work(
        self, target: Target, tally: Tally, claims: Counter[str], at_work: set[int], me: int
    ) -> Script:
        path = f"/api/work_pools/{POOL}/get_scheduled_flow_runs"
        pending = msgspec.json.encode(
            {"state": flow_run_state("PENDING", "Pending"), "force": False}
        )
        decoder = msgspec.json.Decoder(list[_Handed])
        while tally.units < self.runs and not tally.time_is_up:
            before = (dt.datetime.now(dt.UTC) + AHEAD).isoformat()
            query = {"scheduled_before": before, "limit": self.limit}
            response = yield request(target, "POST", path, msgspec.json.encode(query))
            if response.status != 200:
                tally.failed(response)
                continue
            handed = decoder.decode(response.body)
            # What is left is in the hands of others; the last one stays for what they drop.
            if not handed and len(at_work) > 1:
                break
            for each in handed:
                claim = f"/api/flow_runs/{each.flow_run.id}/set_state"
                response = yield request(target, "POST", claim, pending)
                if b'"ACCEPT"' not in response.body:
                    tally.failed(response)
                    continue
                claims[each.flow_run.id] += 1
                if claims[each.flow_run.id] > 1:
                    raise LoadFailed(f"run {each.flow_run.id} was given to two workers")
                tally.units += 1
        at_work.discard(me)


class SetStateLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Take PENDING runs that `CreateRuns` made to RUNNING and to COMPLETED, until there are none
    left or the time is up. Counts accepted states."""

    runs: int
    connections: int = 64
    seconds: float = 30.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        feed = iter(self._pending(target))
        return [_set_states(target, feed, tally) for _ in range(self.connections)]

    def _pending(self, target: Target) -> list[str]:
        ids: list[str] = []
        while len(ids) < self.runs:
            query = {
                "flows": {"name": {"any_": [FLOW]}},
                "flow_runs": {"state": {"type": {"any_": ["PENDING"]}}},
                "sort": "ID_DESC",
                "limit": PAGE,
                "offset": len(ids),
            }
            page = msgspec.json.decode(ask(target, "/flow_runs/filter", query), type=list[_Known])
            if not page:
                raise LoadFailed(f"only {len(ids)} of {self.runs} runs are PENDING")
            ids += [run.id for run in page]
        return ids[: self.runs]


def _set_states(target: Target, feed: Iterator[str], tally: Tally) -> Script:
    bodies = [
        msgspec.json.encode({"state": flow_run_state(name.upper(), name), "force": False})
        for name in ("Running", "Completed")
    ]
    for run_id in feed:
        for body in bodies:
            path = f"/api/flow_runs/{run_id}/set_state"
            response = yield request(target, "POST", path, body)
            if b'"ACCEPT"' not in response.body:
                tally.failed(response)
                break
            tally.units += 1
        if tally.time_is_up:
            return
