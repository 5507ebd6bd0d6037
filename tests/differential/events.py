"""The events that the two servers kept, and in what they differ."""

import datetime as dt
import re
from collections import Counter
from typing import Any, TypeAlias

import httpx

# Name of the event, name of its resource, what is related to it, keys of its payload.
Told: TypeAlias = tuple[str, str, tuple[str, ...], tuple[str, ...]]

_GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+|anonymous-.*")
_SINCE = "2020-01-01T00:00:00Z"


async def told_by(server: httpx.AsyncClient, until: dt.datetime) -> Counter[Told]:
    """What a server has told until then, and how often."""
    found: Counter[Told] = Counter()
    body = {
        "filter": {"occurred": {"since": _SINCE, "until": until.isoformat()}, "order": "ASC"},
        "limit": 50,
    }
    page = (await server.post("/events/filter", json=body)).raise_for_status().json()
    while True:
        found.update(map(_told, page["events"]))
        if page["next_page"] is None:
            return found
        query = httpx.URL(page["next_page"]).query.decode()
        page = (await server.get(f"/events/filter/next?{query}")).raise_for_status().json()


def _told(event: dict[str, Any]) -> Told:
    payload = event["payload"]
    name = str(event["resource"].get("prefect.resource.name"))
    return (
        event["event"],
        "<generated>" if _GENERATED_NAME.fullmatch(name) else name,
        tuple(sorted(map(_related, event["related"]))),
        tuple(sorted(payload.get("updated_fields", payload))),
    )


def _related(resource: dict[str, str]) -> str:
    kind, _, id = resource["prefect.resource.id"].removeprefix("prefect.").partition(".")
    name = id if kind == "tag" else resource.get("prefect.resource.name", "")
    return f"{resource['prefect.resource.role']}: {kind} {name}".rstrip()
