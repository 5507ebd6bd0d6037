"""Concurrency limits, of both kinds."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"
HOLDER = "55555555-5555-4555-8555-555555555555"
OTHER = "66666666-6666-4666-8666-666666666666"


async def of_tags(server: Conversation) -> None:
    made = await server.post("/concurrency_limits/", {"tag": "tag 1", "concurrency_limit": 2})
    await server.post("/concurrency_limits/", {"tag": "tag 1", "concurrency_limit": 1})
    path = f"/concurrency_limits/{made['id']}"
    await server.get(path)
    await server.get("/concurrency_limits/tag/tag 1")
    for holder in (HOLDER, HOLDER, OTHER):
        body = {"names": ["tag 1", "unknown tag"], "task_run_id": holder}
        await server.post("/concurrency_limits/increment", body)
        await server.get(path)
    for holder in (OTHER, HOLDER, HOLDER):
        body = {"names": ["tag 1"], "task_run_id": holder}
        await server.post("/concurrency_limits/decrement", body)
        await server.get(path)
    await server.post("/concurrency_limits/tag/tag 1/reset", {"slot_override": [HOLDER]})
    await server.get(path)
    await server.post("/concurrency_limits/tag/tag 1/reset", {})
    await server.get(path)
    await server.post("/concurrency_limits/tag/nothing/reset", {})
    await server.post("/concurrency_limits/tag/tag 1/reset", {"slot_override": ["no"]})
    for bad in (
        {},
        {"tag": "t"},
        {"concurrency_limit": 1},
        {"tag": 5, "concurrency_limit": 1},
        {"tag": "t", "concurrency_limit": "x"},
        {"tag": "t", "concurrency_limit": -1},
        {"tag": "t", "concurrency_limit": 1, "more": 1},
    ):
        await server.post("/concurrency_limits/", bad)
    for bad in ({"names": "x"}, {"names": ["a"], "task_run_id": "no"}, {"task_run_id": HOLDER}):
        await server.post("/concurrency_limits/increment", bad)
        await server.post("/concurrency_limits/decrement", bad)
    await server.post("/concurrency_limits/filter", {"limit": 0})
    await server.post("/concurrency_limits/filter", {"limit": 201})
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    await server.get("/concurrency_limits/tag/tag 1")
    await server.post("/concurrency_limits/", {"tag": "tag 2", "concurrency_limit": 2})
    await server.delete("/concurrency_limits/tag/tag 2")
    await server.delete("/concurrency_limits/tag/tag 2")
    await server.get("/concurrency_limits/no-id")


async def global_ones(server: Conversation) -> None:
    body = {"name": "gcl 1", "limit": 3}
    made = await server.post("/v2/concurrency_limits/", body)
    await server.post("/v2/concurrency_limits/", body)
    path = f"/v2/concurrency_limits/{made['id']}"
    await server.get(path)
    await server.get("/v2/concurrency_limits/gcl 1")
    for change in (
        {"limit": 4},
        {"active": False},
        {"active": True, "active_slots": 1},
        {"name": "gcl 1 renamed"},
        {"slot_decay_per_second": 0.5},
        {},
        {"limit": -1},
        {"limit": "x"},
        {"name": "a/b"},
        {"more": 1},
    ):
        await server.patch(path, change)
        await server.get(path)
    for bad in (
        {},
        {"name": "g"},
        {"limit": 1},
        {"name": "g", "limit": -1},
        {"name": "g/h", "limit": 1},
        {"name": "g", "limit": 1, "active_slots": -1},
        {"name": "g", "limit": 1, "slot_decay_per_second": -1},
        {"name": "g", "limit": 1, "active": "x"},
        {"name": "g", "limit": 1, "more": 1},
    ):
        await server.post("/v2/concurrency_limits/", bad)
    await server.post("/v2/concurrency_limits/filter", {"limit": 0})
    await server.post("/v2/concurrency_limits/filter", {"limit": 201})
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    await server.patch(path, {"limit": 1})
    await server.get("/v2/concurrency_limits/nothing")
    await server.patch("/v2/concurrency_limits/nothing", {"limit": 1})
    await server.delete("/v2/concurrency_limits/nothing")


async def global_slots(server: Conversation) -> None:
    limits = "/v2/concurrency_limits"
    await server.post(f"{limits}/", {"name": "slots 1", "limit": 2})
    await server.post(f"{limits}/", {"name": "slots off", "limit": 2, "active": False})
    await server.post(
        f"{limits}/", {"name": "slots slow", "limit": 1, "slot_decay_per_second": 0.001}
    )
    for body in (
        {"slots": 1, "names": ["slots 1"]},
        {"slots": 1, "names": ["slots 1", "slots off", "unknown"]},
        {"slots": 1, "names": ["slots 1"]},
        {"slots": 3, "names": ["slots 1"]},
        {"slots": 1, "names": ["slots 1"], "mode": "rate_limit"},
        {"slots": 1, "names": ["slots slow"], "mode": "rate_limit"},
        {"slots": 1, "names": ["slots slow"], "mode": "rate_limit"},
        {"slots": 1, "names": ["unknown"]},
        {"slots": 1, "names": ["unknown"], "create_if_missing": True},
        {"slots": 0, "names": ["slots 1"]},
        {"slots": "x", "names": ["slots 1"]},
        {"slots": 1, "names": "slots 1"},
        {"slots": 1, "names": []},
        {"slots": 1},
        {"names": ["slots 1"]},
        {"slots": 1, "names": ["slots 1"], "mode": "no"},
    ):
        await server.post(f"{limits}/increment", body)
    await server.get(f"{limits}/slots 1")
    for body in (
        {"slots": 1, "names": ["slots 1"], "occupancy_seconds": 5.0},
        {"slots": 5, "names": ["slots 1"]},
        {"slots": 1, "names": ["unknown"]},
        {"slots": 0, "names": ["slots 1"]},
        {"slots": 1},
        {"slots": 1, "names": ["slots 1"], "occupancy_seconds": "x"},
    ):
        await server.post(f"{limits}/decrement", body)
    answer = await server.get(f"{limits}/slots 1")
    assert answer["active_slots"] == 0


async def leases(server: Conversation) -> None:
    limits = "/v2/concurrency_limits"
    await server.post(f"{limits}/", {"name": "leased 1", "limit": 1})
    holder = {"type": "task_run", "id": HOLDER}
    body = {"slots": 1, "names": ["leased 1"], "lease_duration": 60, "holder": holder}
    taken = await server.post(f"{limits}/increment-with-lease", body)
    await server.post(f"{limits}/increment-with-lease", body)
    await server.post(f"{limits}/increment-with-lease", {**body, "names": ["unknown"]})
    for bad in (
        {"slots": 2},
        {"lease_duration": 10},
        {"lease_duration": 10**6},
        {"lease_duration": "x"},
        {"holder": {"type": "no", "id": HOLDER}},
        {"holder": {"type": "task_run", "id": "no"}},
        {"mode": "rate_limit"},
    ):
        await server.post(f"{limits}/increment-with-lease", {**body, **bad})
    path = f"{limits}/leases/{taken['lease_id']}/renew"
    await server.post(path, {"lease_duration": 120})
    await server.post(path, {"lease_duration": 1})
    await server.post(path, {})
    await server.post(f"{limits}/leases/{NOBODY}/renew", {})
    await server.post(f"{limits}/leases/no-id/renew", {})
    await server.get(f"{limits}/leased 1")
    given_back = {"lease_id": taken["lease_id"]}
    await server.post(f"{limits}/decrement-with-lease", given_back)
    await server.post(f"{limits}/decrement-with-lease", given_back)
    await server.post(f"{limits}/decrement-with-lease", {})
    await server.post(f"{limits}/decrement-with-lease", {"lease_id": "no"})
    await server.post(path, {})
