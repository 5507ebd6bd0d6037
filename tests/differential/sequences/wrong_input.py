"""Bad input for every route: no body that is wrong is answered otherwise than by the reference."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.differential.conversation import Conversation
from tests.differential.mutations import NOBODY, Mutations

_QUESTIONS = ("/filter", "/count", "/paginate", "/history", "/lateness")


async def bodies_that_ask(server: Conversation) -> None:
    await _bodies(server, lambda path: path.endswith(_QUESTIONS))


async def bodies_that_change(server: Conversation) -> None:
    await _bodies(server, lambda path: not path.endswith(_QUESTIONS))


async def _bodies(server: Conversation, wanted: Callable[[str], bool]) -> None:
    mutations = Mutations(server.routes.components)
    for method, path, operation in _operations(server):
        if not wanted(path):
            continue
        for body in mutations.bodies(operation):
            await server.ask(method, path, body, told=False)
        if "requestBody" in operation:
            await server.ask(method, path, content=b"", told=False)
            await server.ask(method, path, content=b"{", told=False)


async def content_types(server: Conversation) -> None:
    for type in ("text/plain", "application/xml", ""):
        headers = {"content-type": type}
        await server.post("/flows/count", content=b"{}", headers=headers, told=False)
        await server.post("/flows/", content=b'{"name":"typed"}', headers=headers, told=False)


async def paths(server: Conversation) -> None:
    """Nothing has the id, and what should be an id is none."""
    for method, path, _ in _operations(server):
        if method in ("GET", "DELETE"):
            await server.ask(method, path, told=False)
        if NOBODY in path:
            await server.ask(method, path.replace(NOBODY, "no-id"), {}, told=False)


def _operations(server: Conversation) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of each route that both have, but for automations, of which there are
    none yet."""
    for route in sorted(server.shared_routes):
        if "automations" in route:
            continue
        method, _, path = route.partition(" ")
        operation = server.routes.operations[route]
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                value = _part(parameter["schema"])
                path = path.replace(f"{{{parameter['name']}}}", value)
        yield method, re.sub(r"\{[^}]*\}", "nothing", path.removeprefix("/api")), operation


def _part(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "uuid":
        return NOBODY
    if "$ref" in schema:
        # The only part of a path that is one of a few words.
        return "day"
    return "nothing"
