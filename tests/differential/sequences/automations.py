"""Automations, of which there are none yet."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def none(server: Conversation) -> None:
    path = f"/automations/{NOBODY}"
    await server.post("/automations/filter", {})
    await server.post("/automations/count", {})
    await server.get(path)
    await server.patch(path, {"enabled": False})
    await server.put(path, {})
    await server.post("/automations/", {})
    await server.delete(path)
