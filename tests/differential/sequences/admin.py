"""What the server says of itself."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def health_and_versions(server: Conversation) -> None:
    for path in ("/health", "/ready", "/hello", "/version", "/admin/version"):
        await server.get(path)
    await server.get("/csrf-token", params={"client": "me"})
    await server.get("/csrf-token")


async def the_versions_of_clients(server: Conversation) -> None:
    for version in ("0.8.4", "0.8.0", "0.9.0", "0.7.9", "x", "", "0.8"):
        await server.get("/admin/version", headers={"X-PREFECT-API-VERSION": version})
        await server.post("/flows/filter", {"limit": 0}, headers={"X-PREFECT-API-VERSION": version})


async def the_default_result_storage(server: Conversation) -> None:
    await server.get("/admin/storage")
    for body in (
        {"default_result_storage_block_id": NOBODY},
        {"default_result_storage_block_id": "no"},
        {"default_result_storage_block_id": None},
        {},
    ):
        await server.put("/admin/storage", body)
        await server.get("/admin/storage")
    await server.post("/block_types/install_system_block_types")
    type = await server.get("/block_types/slug/secret")
    schemas = await server.post(
        "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [type["id"]]}}}
    )
    body = {
        "name": "no-storage",
        "data": {"value": "x"},
        "block_schema_id": schemas[0]["id"],
        "block_type_id": type["id"],
    }
    made = await server.post("/block_documents/", body)
    await server.put("/admin/storage", {"default_result_storage_block_id": made["id"]})
    await server.get("/admin/storage")
    await server.delete("/admin/storage")
    await server.get("/admin/storage")


async def settings(server: Conversation) -> None:
    await server.get("/admin/settings")
