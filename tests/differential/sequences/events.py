"""Events over HTTP. Storing them takes the reference a moment, so those that are read were sent
well before, and read until they are there."""

from tests.differential.conversation import Conversation


def _event(server: Conversation, number: int, **more: object) -> dict[str, object]:
    return {
        "id": f"77777777-7777-4777-8777-77777777777{number}",
        "occurred": server.at(-3000 + number),
        "event": f"mine.event.{number % 2}",
        "resource": {"prefect.resource.id": f"mine.resource.{number}", "x": "y"},
        "related": [{"prefect.resource.id": "mine.related", "prefect.resource.role": "flow"}],
        "payload": {"n": number},
        **more,
    }


async def sent_found_and_counted(server: Conversation) -> None:
    await server.post("/events", [_event(server, number) for number in range(4)])
    occurred = {"since": server.at(-3600), "until": server.at(-60)}
    mine = {"occurred": occurred, "event": {"prefix": ["mine."]}, "order": "ASC"}
    await server.until("/events/filter", {"filter": mine}, lambda found: found["total"] == 4)
    page = await server.post("/events/filter", {"filter": mine})
    for more in (
        {"order": "DESC"},
        {"event": {"name": ["mine.event.1"]}},
        {"event": {"prefix": ["mine."], "exclude_name": ["mine.event.1"]}},
        {"event": {"prefix": ["mine."], "exclude_prefix": ["mine.event.0"]}},
        {"resource": {"id": ["mine.resource.1"]}},
        {"resource": {"id_prefix": ["mine.resource"]}},
        {"resource": {"labels": {"x": "y"}}},
        {"related": {"id": ["mine.related"]}},
        {"related": {"role": ["flow"]}},
        {"related": {"role": ["other"]}},
        {"any_resource": {"id": ["mine.related"]}},
        {"id": {"id": [page["events"][0]["id"]]}},
        {"occurred": {"since": server.at(-2999), "until": server.at(-2998)}},
    ):
        await server.post("/events/filter", {"filter": {**mine, **more}})
    first = await server.post("/events/filter", {"filter": mine, "limit": 3})
    token = first["next_page"].split("page-token=")[1]
    await server.get(f"/events/filter/next?page-token={token}")
    await server.get("/events/filter/next?page-token=no")
    await server.get("/events/filter/next")
    for countable in ("event", "resource", "day", "time"):
        body = {"filter": mine, "time_unit": "hour", "time_interval": 1}
        await server.post(f"/events/count-by/{countable}", body)
    await server.post("/events/count-by/nothing", {"filter": mine})
    for bad in (
        {"time_unit": "no"},
        {"time_interval": 0},
        {"time_interval": "x"},
        {"filter": None},
        {"filter": {"unknown": 1}},
    ):
        await server.post("/events/count-by/event", {"filter": mine, **bad})
    for bad in (
        {"limit": 51},
        {"limit": -1},
        {"limit": "x"},
        {"filter": {"unknown": 1}},
        {"filter": {"order": "NO"}},
        {"filter": {"occurred": {"since": "no"}}},
        {"filter": {"event": {"name": "x"}}},
    ):
        await server.post("/events/filter", {"filter": mine, **bad})


async def bad_events(server: Conversation) -> None:
    for bad in (
        {"event": 5},
        {"event": None},
        {"occurred": "no"},
        {"resource": {}},
        {"resource": {"a": "b"}},
        {"resource": "x"},
        {"related": "x"},
        {"related": [{"prefect.resource.id": "x"}]},
        {"payload": "x"},
        {"id": "no"},
        {"follows": "no"},
    ):
        await server.post("/events", [_event(server, 9, **bad)])
    await server.post("/events", {})
    await server.post("/events", "x")
