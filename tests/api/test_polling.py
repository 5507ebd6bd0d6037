"""What pollers get: due runs, by priority and time, within the limits, and each run one of them."""

import asyncio
import contextlib
import datetime as dt
import time
import uuid
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from app.wire.base import new_id, utc_now
from storage.postgres.polling import KEPT_FOR
from storage.postgres.pool import Pool
from tests.api.deployed import NONE, a_deployment, a_name
from tests.api.test_work_pools import events_of

SECOND = dt.timedelta(seconds=1)


class Board:
    """A pool with due runs on its queues, and the workers that ask for them."""

    def __init__(self, client: httpx.AsyncClient, pool: Pool) -> None:
        self.client = client
        self._pool = pool
        self.flow_id = uuid.UUID(int=0)
        self.deployment_id = uuid.UUID(int=0)

    async def set_up(self) -> None:
        """A work pool `p`, a flow, and a deployment on the default queue."""
        await self.client.post("/work_pools/", json={"name": "p", "type": "process"})
        flow = await self.client.post("/flows/", json={"name": "f"})
        self.flow_id = uuid.UUID(flow.json()["id"])
        made = await self.client.post(
            "/deployments/",
            json={"name": "d", "flow_id": str(self.flow_id), "work_pool_name": "p"},
        )
        self.deployment_id = uuid.UUID(made.json()["id"])

    async def queue(self, name: str, **body: object) -> dict[str, object]:
        """A queue of the pool, made now."""
        made = await self.client.post("/work_pools/p/queues", json={"name": name, **body})
        queue: dict[str, object] = made.json()
        return queue

    async def schedule(
        self,
        names: Sequence[str],
        *,
        queue: str = "default",
        ago: dt.timedelta = SECOND,
        policy: str = "{}",
    ) -> None:
        """Runs on a queue that were due `ago`, the first of them first."""
        ids = [new_id() for _ in names]
        now = utc_now()
        starts = [now - ago + index * dt.timedelta(milliseconds=1) for index in range(len(names))]
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(
                """
                INSERT INTO flow_run (id, created, updated, name, flow_id, deployment_id,
                    work_queue_id, parameters, context, empirical_policy, tags, labels, state_id,
                    state_type, state_name, state_timestamp, next_scheduled_start_time,
                    expected_start_time)
                SELECT r.id, $4, $4, r.name, $5, $6, q.id, '{}', '{}', $8, '{}', '{}', r.id,
                    'SCHEDULED', 'Scheduled', $4, r.start, r.start
                FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS r (id, name, start)
                JOIN work_queue q ON q.name = $7
                """,
                ids,
                names,
                starts,
                now,
                self.flow_id,
                self.deployment_id,
                queue,
                {"retry_type": "in_process"} if policy == "in_process" else {},
            )
            await conn.execute(
                """
                INSERT INTO flow_run_state (id, flow_run_id, created, type, name, timestamp,
                    state_details)
                SELECT id, id, created, state_type, state_name, state_timestamp, '{}'
                FROM flow_run WHERE id = ANY ($1)
                """,
                ids,
            )

    async def poll(self, **body: object) -> list[str]:
        """The names of the runs that a worker gets who asks now."""
        return [run["name"] for run in await self.runs(**body)]

    async def runs(self, **body: object) -> list[dict[str, str]]:
        """The runs that a worker gets who asks now."""
        soon = (utc_now() + 10 * SECOND).isoformat(sep=" ")
        answer = await self.client.post(
            "/work_pools/p/get_scheduled_flow_runs", json={"scheduled_before": soon, **body}
        )
        assert answer.status_code == 200, answer.text
        return [each["flow_run"] for each in answer.json()]

    @contextlib.asynccontextmanager
    async def deployment_locked(self) -> AsyncIterator[None]:
        """As if somebody were changing the deployment, or marking it too."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(
                "SELECT id FROM deployment WHERE id = $1 FOR UPDATE", self.deployment_id
            )
            yield

    async def let_offers_end(self) -> None:
        """As if the time for which runs are kept from others had passed."""
        await self._pool.execute(
            "UPDATE flow_run_offer SET first_offered = first_offered - $1::interval,"
            " last_offered = last_offered - $1::interval",
            KEPT_FOR,
        )

    async def claim(self, run_id: str) -> str:
        """What becomes of a worker's claim on a run."""
        state = {"type": "PENDING", "state_details": {"transition_id": str(uuid.uuid4())}}
        answer = await self.client.post(f"/flow_runs/{run_id}/set_state", json={"state": state})
        return str(answer.json()["status"])


@pytest.fixture
async def board(client: httpx.AsyncClient, pool: Pool) -> Board:
    """A pool `p` with a deployment."""
    made = Board(client, pool)
    await made.set_up()
    return made


async def test_runs_come_by_the_priority_of_their_queue_then_by_time(board: Board) -> None:
    await board.queue("urgent", priority=1)
    await board.schedule(["slow-2"], ago=5 * SECOND)
    await board.schedule(["slow-1"], ago=9 * SECOND)
    await board.schedule(["fast-2"], queue="urgent", ago=SECOND)
    await board.schedule(["fast-1"], queue="urgent", ago=2 * SECOND)
    await board.schedule(["later"], ago=-60 * SECOND)
    await board.schedule(["soon"], ago=-5 * SECOND)
    await board.schedule(["own"], policy="in_process")
    assert await board.poll(limit=2) == ["fast-1", "fast-2"]
    assert await board.poll() == ["slow-1", "slow-2", "soon"]


async def test_a_worker_asks_for_the_queues_it_names(board: Board) -> None:
    queue = await board.queue("other")
    await board.schedule(["a"])
    await board.schedule(["b"], queue="other")
    (run,) = await board.runs(work_queue_names=["other"])
    assert (run["name"], run["work_queue_id"], run["work_queue_name"]) == (
        "b",
        queue["id"],
        "other",
    )
    assert run["state_type"] == "SCHEDULED"
    assert await board.poll(work_queue_names=["default", "other"]) == ["a"]


async def test_what_is_paused_hands_nothing_out(board: Board) -> None:
    await board.queue("other")
    await board.schedule(["a"])
    await board.schedule(["b"], queue="other")
    await board.client.patch("/work_pools/p/queues/default", json={"is_paused": True})
    assert await board.poll() == ["b"]
    await board.client.patch("/work_pools/p/queues/default", json={"is_paused": False})
    await board.client.patch("/work_pools/p", json={"is_paused": True})
    assert await board.poll() == []
    await board.client.patch("/work_pools/p", json={"is_paused": False})
    assert await board.poll() == ["a"]


async def test_a_run_that_was_handed_out_is_kept_from_others_for_a_while(board: Board) -> None:
    await board.schedule(["a", "b", "c"])
    assert await board.poll(limit=2) == ["a", "b"]
    assert await board.poll() == ["c"]
    assert await board.poll() == []


async def test_what_nobody_claims_is_shown_to_everybody(board: Board) -> None:
    await board.schedule(["a", "b"])
    assert await board.poll() == ["a", "b"]
    await board.let_offers_end()
    # From now on nobody can keep it from the others by asking for it.
    assert await board.poll() == ["a", "b"]
    assert await board.poll() == ["a", "b"]


async def test_pollers_of_a_backlog_are_not_all_given_its_first_runs(board: Board) -> None:
    await board.schedule(["a", "b", "c", "d"])
    await board.poll()
    await board.let_offers_end()
    assert await board.poll(limit=2) == ["a", "b"]
    assert await board.poll(limit=2) == ["c", "d"]
    assert await board.poll(limit=3) == ["a", "b", "c"]


async def test_a_run_that_is_scheduled_again_is_handed_out_as_new(board: Board, pool: Pool) -> None:
    await board.schedule(["a"])
    await board.poll()
    await pool.execute("UPDATE flow_run SET next_scheduled_start_time = now()")
    assert await board.poll() == ["a"]
    assert await board.poll() == []


async def test_looking_ahead_keeps_nothing_from_workers(board: Board) -> None:
    await board.schedule(["a"])
    in_an_hour = (utc_now() + dt.timedelta(hours=1)).isoformat()
    cases_1: list[dict[str, object]] = [
        {"scheduled_before": in_an_hour},
        {"scheduled_before": None, "scheduled_after": None},
    ]
    for look in cases_1:
        assert await board.poll(**look) == ["a"]
    path = "/work_pools/p/get_scheduled_flow_runs"
    soon = {"scheduled_before": utc_now().isoformat()}
    seen = await board.client.post(path, json=soon, headers={"X-Prefect-UI": "true"})
    assert len(seen.json()) == 1
    assert await board.poll() == ["a"]
    # Who only looks sees what is kept from workers, too.
    assert await board.poll(scheduled_before=in_an_hour) == ["a"]


async def test_only_runs_due_after_a_bound(board: Board) -> None:
    await board.schedule(["old"], ago=dt.timedelta(hours=2))
    await board.schedule(["new"])
    hour_ago = (utc_now() - dt.timedelta(hours=1)).isoformat()
    assert await board.poll(scheduled_after=hour_ago) == ["new"]


async def test_a_queue_hands_out_no_more_than_it_has_room_for(board: Board) -> None:
    await board.queue("narrow", concurrency_limit=2)
    await board.schedule(["a", "b", "c"], queue="narrow")
    await board.schedule(["free"])
    first = await board.runs()
    assert [run["name"] for run in first] == ["free", "a", "b"]
    # What was handed out and not claimed yet takes up room.
    assert await board.poll() == []
    assert await board.claim(first[1]["id"]) == "ACCEPT"
    await board.let_offers_end()
    assert await board.poll() == ["free", "b"]
    await board.client.patch("/work_pools/p/queues/narrow", json={"concurrency_limit": 1})
    assert await board.poll() == ["free"]


async def test_a_pool_hands_out_no_more_than_it_has_room_for(board: Board) -> None:
    await board.client.patch("/work_pools/p", json={"concurrency_limit": 3})
    await board.queue("urgent", priority=1)
    await board.schedule(["a", "b", "c"])
    await board.schedule(["u"], queue="urgent")
    first = await board.runs(limit=2)
    assert [run["name"] for run in first] == ["u", "a"]
    assert await board.poll() == ["b"]
    assert await board.claim(first[0]["id"]) == "ACCEPT"
    assert await board.poll() == []
    await board.let_offers_end()
    assert await board.poll() == ["a", "b"]
    await board.client.patch("/work_pools/p", json={"concurrency_limit": 0})
    assert await board.poll() == []


async def test_polling_makes_queue_and_deployment_ready(board: Board) -> None:
    path = "/work_pools/p/queues/default"
    before = (await board.client.get(path)).json()
    assert (before["status"], before["last_polled"]) == ("NOT_READY", None)
    look = {"headers": {"X-Prefect-UI": "true"}}
    url = "/work_pools/p/get_scheduled_flow_runs"
    await board.client.post(url, json={}, headers=look["headers"])
    assert (await board.client.get(path)).json() == before

    await board.poll()
    queue = (await board.client.get(path)).json()
    assert queue["status"] == "READY"
    assert queue["last_polled"] is not None
    deployment = (await board.client.get(f"/deployments/{board.deployment_id}")).json()
    assert deployment["status"] == "READY"
    assert deployment["last_polled"] is not None
    assert (await events_of(board.client, f"prefect.work-queue.{queue['id']}"))[-1] == (
        "prefect.work-queue.ready"
    )
    assert (await events_of(board.client, f"prefect.deployment.{board.deployment_id}"))[-1] == (
        "prefect.deployment.ready"
    )
    health = (await board.client.get(f"/work_queues/{queue['id']}/status")).json()
    assert (health["healthy"], health["late_runs_count"]) == (True, 0)
    # A poll that comes at once does not write it down again.
    await board.poll()
    assert (await board.client.get(path)).json() == queue


async def test_a_poll_waits_for_nobody_who_changes_a_deployment(board: Board) -> None:
    path = f"/deployments/{board.deployment_id}"
    serves = {"deployment_ids": [str(board.deployment_id)]}
    async with board.deployment_locked(), asyncio.timeout(5):
        answer = await board.client.post("/deployments/get_scheduled_flow_runs", json=serves)
        assert answer.status_code == 200
        assert await board.poll() == []
    assert (await board.client.get(path)).json()["status"] == "NOT_READY"
    # The next one writes down what this one left.
    await board.client.post("/deployments/get_scheduled_flow_runs", json=serves)
    assert (await board.client.get(path)).json()["status"] == "READY"


async def test_a_paused_queue_that_is_polled_is_ready_once_it_goes_on(board: Board) -> None:
    path = "/work_pools/p/queues/default"
    await board.client.patch(path, json={"is_paused": True})
    await board.poll()
    queue = (await board.client.get(path)).json()
    assert (queue["status"], queue["last_polled"] is not None) == ("PAUSED", True)
    assert "prefect.work-queue.ready" not in await events_of(
        board.client, f"prefect.work-queue.{queue['id']}"
    )
    await board.client.patch(path, json={"is_paused": False})
    assert (await board.client.get(path)).json()["status"] == "READY"


async def test_old_agents_ask_by_the_id_of_a_queue(board: Board) -> None:
    await board.schedule(["a", "b", "c"])
    queue = (await board.client.get("/work_pools/p/queues/default")).json()
    path = f"/work_queues/{queue['id']}/get_runs"
    soon = (utc_now() + 10 * SECOND).isoformat()
    shown = await board.client.post(path, json={}, headers={"X-Prefect-UI": "true"})
    assert [run["name"] for run in shown.json()] == ["a", "b", "c"]
    assert (await board.client.get("/work_pools/p/queues/default")).json() == queue
    first = await board.client.post(path, json={"limit": 1, "scheduled_before": soon})
    assert [run["name"] for run in first.json()] == ["a"]
    assert first.json()[0]["work_pool_name"] == "p"
    assert await board.poll() == ["b", "c"]
    assert (await board.client.get("/work_pools/p/queues/default")).json()["status"] == "READY"

    nobody = uuid.uuid4()
    missing = await board.client.post(f"/work_queues/{nobody}/get_runs", json={})
    assert (missing.status_code, missing.json()) == (
        404,
        {"exception_message": f"Work queue with id {nobody} not found."},
    )


async def test_who_serves_a_deployment_asks_for_its_runs(board: Board) -> None:
    await board.schedule(["a", "b"])
    await board.schedule(["own"], policy="in_process")
    await board.client.patch("/work_pools/p/queues/default", json={"concurrency_limit": 0})
    soon = (utc_now() + 10 * SECOND).isoformat(sep=" ")
    path = "/deployments/get_scheduled_flow_runs"
    body = {"deployment_ids": [str(board.deployment_id)], "scheduled_before": soon}

    async def names(**more: object) -> list[str]:
        answer = await board.client.post(path, json={**body, **more})
        assert answer.status_code == 200, answer.text
        return [run["name"] for run in answer.json()]

    assert await names(limit=1) == ["a"]
    assert sorted(await names()) == ["b", "own"]
    assert await names() == []
    in_an_hour = (utc_now() + dt.timedelta(hours=1)).isoformat()
    assert len(await names(scheduled_before=in_an_hour)) == 3
    assert await names(deployment_ids=[]) == []
    assert await names(deployment_ids=[str(uuid.uuid4())]) == []
    deployment = (await board.client.get(f"/deployments/{board.deployment_id}")).json()
    assert deployment["status"] == "READY"


async def test_what_is_not_there_is_404(board: Board) -> None:
    path = "/work_pools/{}/get_scheduled_flow_runs"
    answer = await board.client.post(path.format("nobody"), json={})
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": 'Work pool "nobody" not found.'},
    )
    body = {"work_queue_names": ["default", "nobody"]}
    answer = await board.client.post(path.format("p"), json=body)
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "Work pool queue 'p/nobody' not found."},
    )


async def test_bad_bodies_name_the_field_and_change_nothing(board: Board) -> None:
    pool_path = "/work_pools/p/get_scheduled_flow_runs"
    bad: list[tuple[str, dict[str, object], str]] = [
        (pool_path, {"scheduled_before": "x"}, "scheduled_before"),
        (pool_path, {"work_queue_names": [1]}, "work_queue_names"),
        (pool_path, {"limit": "x"}, "limit"),
        ("/deployments/get_scheduled_flow_runs", {}, "deployment_ids"),
        ("/deployments/get_scheduled_flow_runs", {"deployment_ids": ["x"]}, "deployment_ids"),
    ]
    for path, body, field in bad:
        answer = await board.client.post(path, json=body)
        assert answer.status_code == 422, body
        assert field in answer.json()["exception_detail"][0]["loc"], body
    for body in ({"limit": 201}, {"limit": -1}, {"scheduled_before": "0001-01-01T00:00:00+09:00"}):
        assert (await board.client.post(pool_path, json=body)).status_code == 422, body
    assert (await board.client.post(pool_path, json={"limit": 0})).json() == []
    nul = {"work_queue_names": ["a\u0000"]}
    assert (await board.client.post(pool_path, json=nul)).status_code == 422
    queue = (await board.client.get("/work_pools/p/queues/default")).json()
    assert queue["last_polled"] is not None


async def test_an_old_queue_with_a_filter_has_what_the_filter_picks(
    shared_client: httpx.AsyncClient,
) -> None:
    client = shared_client
    own_tag = a_name()
    deployment, other = await a_deployment(client), await a_deployment(client)
    runs = {
        "tagged": (deployment, [own_tag, "b"]),
        "bare": (deployment, NONE),
        "other": (other, NONE),
    }
    ids: dict[str, str] = {}
    for name, (made_from, tags) in runs.items():
        body = {
            "flow_id": made_from["flow_id"],
            "deployment_id": made_from["id"],
            "tags": tags,
            "name": name,
            "state": {"type": "SCHEDULED"},
        }
        ids[name] = (await client.post("/flow_runs/", json=body)).json()["id"]
    without_deployment = {"flow_id": deployment["flow_id"], "tags": [own_tag]}
    await client.post("/flow_runs/", json={**without_deployment, "state": {"type": "SCHEDULED"}})

    async def picked(queue_id: str) -> list[str]:
        answer = await client.post(f"/work_queues/{queue_id}/get_runs")
        return [run["name"] for run in answer.json()]

    both = [deployment["id"], other["id"]]
    queues: dict[str, str] = {}
    cases: list[tuple[list[str] | None, list[str] | None, list[str]]] = [
        ([own_tag], None, ["tagged"]),
        ([own_tag, "c"], None, []),
        (None, [deployment["id"]], ["tagged", "bare"]),
        ([], both, ["tagged", "bare", "other"]),
        (None, [], []),
    ]
    for tags, deployments, expected in cases:
        on = {"tags": tags, "deployment_ids": deployments}
        queue = await client.post("/work_queues/", json={"name": a_name(), "filter": on})
        queues[str(expected)] = queue.json()["id"]
        assert await picked(queue.json()["id"]) == expected

    path = queues["['tagged', 'bare']"]
    await client.patch(f"/work_queues/{path}", json={"concurrency_limit": 2})
    pending = {"state": {"type": "PENDING"}}
    await client.post(f"/flow_runs/{ids['tagged']}/set_state", json=pending)
    assert await picked(path) == ["bare"]
    await client.patch(f"/work_queues/{path}", json={"concurrency_limit": 1})
    assert await picked(path) == [], "the one place is taken by a run that the filter picks"
    await client.patch(f"/work_queues/{path}", json={"concurrency_limit": 2, "is_paused": True})
    assert await picked(path) == []


async def test_fifty_workers_claim_two_thousand_runs_once_each(board: Board) -> None:
    names = [f"r{number}" for number in range(2000)]
    await board.schedule(names)
    accepted: list[str] = []
    refused = 0
    deadline = time.monotonic() + 90

    async def work(room: int) -> None:
        nonlocal refused
        while len(accepted) < len(names):
            assert time.monotonic() < deadline, f"{len(accepted)} runs were claimed in time"
            for run in await board.runs(limit=room):
                if await board.claim(run["id"]) == "ACCEPT":
                    accepted.append(run["name"])
                else:
                    refused += 1
            await asyncio.sleep(0.05)

    await asyncio.gather(*(work(room=2 + number % 9) for number in range(50)))
    assert sorted(accepted) == sorted(names)
    # Each of the 2,000 was claimed once; few were sent to a run that was taken.
    assert refused <= len(names) // 4, f"{refused} claims were refused"
