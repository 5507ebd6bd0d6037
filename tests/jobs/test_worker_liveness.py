"""Who is silent for too long is no longer online, or ready."""

import datetime as dt

import httpx
from litestar import Litestar

from app.services import Services
from jobs.worker_liveness import mark_silent_workers
from storage.postgres.pool import Pool
from tests.api.test_work_pools import events_of


async def test_silent_workers_and_what_they_served_are_marked_once(
    app: Litestar, client: httpx.AsyncClient, pool: Pool
) -> None:
    services: Services = app.state.services
    made = (await client.post("/work_pools/", json={"name": "p", "type": "process"})).json()
    flow = (await client.post("/flows/", json={"name": "f"})).json()
    body = {"name": "d", "flow_id": flow["id"], "work_pool_name": "p"}
    deployment = (await client.post("/deployments/", json=body)).json()
    beat = {"name": "w", "heartbeat_interval_seconds": 20}
    await client.post("/work_pools/p/workers/heartbeat", json=beat)
    await client.post("/work_pools/p/get_scheduled_flow_runs", json={})

    async def statuses() -> list[str]:
        return [
            (await client.post("/work_pools/p/workers/filter", json={})).json()[0]["status"],
            (await client.get("/work_pools/p")).json()["status"],
            (await client.get("/work_pools/p/queues/default")).json()["status"],
            (await client.get(f"/deployments/{deployment['id']}")).json()["status"],
        ]

    assert await mark_silent_workers(services) == {}
    assert await statuses() == ["ONLINE", "READY", "READY", "READY"]

    # Three of its intervals, and not a moment less.
    for silence, online in ((55, True), (65, False)):
        heard = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=silence)
        await pool.execute("UPDATE worker SET last_heartbeat_time = $1", heard)
        await mark_silent_workers(services)
        expected = ["ONLINE", "READY"] if online else ["OFFLINE", "NOT_READY"]
        assert (await statuses())[:2] == expected

    # The deployment itself was not asked for; that its queue is polled is enough.
    await pool.execute("UPDATE deployment SET last_polled = now() - interval '70 s'")
    assert await mark_silent_workers(services) == {}
    await pool.execute("UPDATE work_queue SET last_polled = now() - interval '70 s'")
    report = await mark_silent_workers(services)
    assert report == {"workers": 0, "pools": 0, "queues": 1, "deployments": 1}
    assert (await statuses())[2:] == ["NOT_READY", "NOT_READY"]
    assert await mark_silent_workers(services) == {}
    for kind, id in (
        ("work-pool", made["id"]),
        ("work-queue", made["default_queue_id"]),
        ("deployment", deployment["id"]),
    ):
        names = await events_of(client, f"prefect.{kind}.{id}")
        assert names[-1] == f"prefect.{kind}.not-ready"
