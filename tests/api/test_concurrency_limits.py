"""Concurrency limits: nobody gets more slots than there are, and slots come back."""

import asyncio
from typing import Any

import httpx

from app.services import Services
from app.wire.base import new_id
from jobs.concurrency_leases import free_expired_concurrency_leases
from storage.postgres.pool import Pool

V2 = "/v2/concurrency_limits"


async def create(client: httpx.AsyncClient, name: str, limit: int, **fields: Any) -> dict[str, Any]:
    """A new limit."""
    answer = await client.post(f"{V2}/", json={"name": name, "limit": limit, **fields})
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


async def increment(client: httpx.AsyncClient, *names: str, slots: int = 1) -> httpx.Response:
    """Take slots without a lease."""
    return await client.post(f"{V2}/increment", json={"names": names, "slots": slots})


async def lease(client: httpx.AsyncClient, *names: str, **fields: Any) -> httpx.Response:
    """Take a slot under a lease."""
    body = {"names": names, "slots": 1, "lease_duration": 60, **fields}
    return await client.post(f"{V2}/increment-with-lease", json=body)


async def active_slots(client: httpx.AsyncClient, name: str) -> int:
    """How many slots are in use."""
    answer = await client.get(f"{V2}/{name}")
    used: int = answer.json()["active_slots"]
    return used


async def test_a_limit_is_made_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await create(client, "a", 2)
    assert (made["active_slots"], made["avg_slot_occupancy_seconds"]) == (0, 2.0)
    assert (await client.post(f"{V2}/", json={"name": "a", "limit": 1})).status_code == 409
    assert (await client.post(f"{V2}/", json={"name": "a/b", "limit": 1})).status_code == 422
    assert (await client.post(f"{V2}/", json={"name": "b", "limit": -1})).status_code == 422
    read = (await client.get(f"{V2}/a")).json()
    assert read == (await client.get(f"{V2}/{made['id']}")).json()
    assert "denied_slots" not in read
    assert (await client.patch(f"{V2}/a", json={"active_slots": 1, "name": "c"})).status_code == 204
    assert await active_slots(client, "c") == 1
    assert [limit["name"] for limit in (await client.post(f"{V2}/filter")).json()] == ["c"]
    assert (await client.delete(f"{V2}/c")).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, f"{V2}/c", content=b"{}")
        assert answer.status_code == 404


async def test_slots_are_taken_from_all_limits_or_none(client: httpx.AsyncClient) -> None:
    a, b = await create(client, "a", 2), await create(client, "b", 1)
    answer = await increment(client, "a", "b", "unknown")
    assert answer.status_code == 200
    assert sorted(limit["id"] for limit in answer.json()) == sorted([a["id"], b["id"]])
    full = await increment(client, "a", "b")
    assert full.status_code == 423
    # Two seconds is what a slot is held at first, and one waits for the one slot of b.
    assert 1.3 < float(full.headers["Retry-After"]) < 2.7
    assert await active_slots(client, "a") == 1

    given = {"names": ["a", "b"], "slots": 1, "occupancy_seconds": 30}
    assert (await client.post(f"{V2}/decrement", json=given)).status_code == 200
    assert await active_slots(client, "b") == 0
    assert (await increment(client, "a", "b")).status_code == 200
    # b's slot is now known to be held for longer, and one was denied before.
    longer = await increment(client, "b")
    assert float(longer.headers["Retry-After"]) > 10

    too_many = await increment(client, "a", slots=3)
    assert too_many.json() == {"detail": "Slots requested is greater than the limit"}
    assert too_many.status_code == 422
    assert (await increment(client, "unknown")).json() == []
    rate = {"names": ["a"], "slots": 1, "mode": "rate_limit"}
    assert (await client.post(f"{V2}/increment", json=rate)).status_code == 422


async def test_an_inactive_limit_limits_nothing(client: httpx.AsyncClient) -> None:
    await create(client, "a", 1)
    await client.patch(f"{V2}/a", json={"active": False})
    for _ in range(3):
        assert (await increment(client, "a")).status_code == 200
    assert await active_slots(client, "a") == 0


async def test_many_at_once_never_get_more_than_there_is(client: httpx.AsyncClient) -> None:
    await create(client, "a", 5)
    await create(client, "b", 8)
    answers = await asyncio.gather(
        *(lease(client, *names) for names in [("a",), ("b", "a"), ("a", "b"), ("b",)] * 6)
    )
    assert {answer.status_code for answer in answers} == {200, 423}
    assert await active_slots(client, "a") == 5
    assert await active_slots(client, "b") <= 8
    leases = [answer.json()["lease_id"] for answer in answers if answer.status_code == 200]
    await asyncio.gather(
        *(
            client.post(f"{V2}/decrement-with-lease", json={"lease_id": lease_id})
            for lease_id in leases + leases
        )
    )
    assert await active_slots(client, "a") == 0
    assert await active_slots(client, "b") == 0


async def test_a_lease_is_renewed_until_it_is_gone(client: httpx.AsyncClient) -> None:
    await create(client, "a", 1)
    holder = {"type": "task_run", "id": str(new_id())}
    lease_id = (await lease(client, "a", holder=holder)).json()["lease_id"]
    renew = f"{V2}/leases/{lease_id}/renew"
    assert (await client.post(renew, json={"lease_duration": 300})).status_code == 204
    assert (await client.post(renew, json={"lease_duration": 1})).status_code == 422
    for _ in range(2):
        answer = await client.post(f"{V2}/decrement-with-lease", json={"lease_id": lease_id})
        assert answer.status_code == 204
    assert (await client.post(renew)).status_code == 410
    nothing = (await lease(client, "unknown")).json()
    assert nothing["limits"] == []
    assert (await client.post(f"{V2}/leases/{nothing['lease_id']}/renew")).status_code == 204
    assert (
        await lease(client, "a", holder={"type": "pool", "id": str(new_id())})
    ).status_code == 422


async def test_what_expired_is_given_back(
    client: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    await create(client, "a", 3)
    kept = (await lease(client, "a")).json()["lease_id"]
    for _ in range(2):
        await lease(client, "a")
    await pool.execute(
        "UPDATE concurrency_lease SET expires = now() - interval '1 second' WHERE id <> $1", kept
    )
    assert await free_expired_concurrency_leases(services) == {"leases": 2}
    assert await active_slots(client, "a") == 1
    assert await free_expired_concurrency_leases(services) == {}


async def test_a_tag_is_limited_by_task_run(client: httpx.AsyncClient) -> None:
    v1 = "/concurrency_limits"
    first, second, third = (str(new_id()) for _ in range(3))
    body = {"tag": "x", "concurrency_limit": 1}
    assert (await client.post(f"{v1}/", json=body)).status_code == 201
    answer = await client.post(f"{v1}/", json=body | {"concurrency_limit": 2})
    assert answer.status_code == 200
    limit = answer.json()

    async def take(task_run: str) -> httpx.Response:
        body = {"names": ["x", "unlimited"], "task_run_id": task_run}
        return await client.post(f"{v1}/increment", json=body)

    assert (await take(first)).json() == [{"id": limit["id"], "name": "x", "limit": 2}]
    assert (await take(second)).status_code == 200
    full = await take(third)
    assert (full.status_code, full.headers["Retry-After"]) == (423, "10.0")
    read = (await client.get(f"{v1}/tag/x")).json()
    assert read["active_slots"] == [first, second]
    assert read == (await client.get(f"{v1}/{limit['id']}")).json()
    assert (await client.post(f"{v1}/filter")).json() == [read]
    assert await active_slots(client, "tag:x") == 2

    given = {"names": ["x"], "task_run_id": first}
    assert (await client.post(f"{v1}/decrement", json=given)).status_code == 200
    assert (await client.get(f"{v1}/tag/x")).json()["active_slots"] == [second]
    reset = await client.post(f"{v1}/tag/x/reset", json={"slot_override": [third, first]})
    assert reset.status_code == 200
    assert (await client.get(f"{v1}/tag/x")).json()["active_slots"] == [third, first]
    assert (await take(second)).status_code == 423
    await client.post(f"{v1}/tag/x/reset")
    assert await active_slots(client, "tag:x") == 0

    assert (await client.delete(f"{v1}/tag/x")).status_code == 200
    for method, path in (("GET", "tag/x"), ("DELETE", "tag/x"), ("POST", "tag/x/reset")):
        assert (await client.request(method, f"{v1}/{path}")).status_code == 404
    await client.post(f"{v1}/", json={"tag": "never", "concurrency_limit": 0})
    never = {"names": ["never"], "task_run_id": first}
    assert (await client.post(f"{v1}/increment", json=never)).status_code == 423
