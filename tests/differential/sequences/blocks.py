"""Block types, schemas, documents and capabilities."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"
FIELDS = {
    "title": "Mine",
    "type": "object",
    "properties": {"a": {"type": "string"}, "s": {"type": "string", "format": "password"}},
    "secret_fields": ["s"],
    "block_schema_references": {},
}


async def _schema(server: Conversation, slug: str) -> tuple[str, str]:
    type = await server.post("/block_types/", {"name": slug, "slug": slug})
    fields = {**FIELDS, "title": slug, "block_type_slug": slug}
    schema = await server.post("/block_schemas/", {"fields": fields, "block_type_id": type["id"]})
    return type["id"], schema["id"]


async def types(server: Conversation) -> None:
    body = {
        "name": "Type 1",
        "slug": "type-1",
        "logo_url": "https://example.com/a.png",
        "documentation_url": "https://example.com/",
        "description": "d",
        "code_example": "c",
    }
    made = await server.post("/block_types/", body)
    await server.post("/block_types/", body)
    path = f"/block_types/{made['id']}"
    await server.get(path)
    await server.get("/block_types/slug/type-1")
    for change in ({"description": "e"}, {}, {"name": "no"}, {"logo_url": "no url"}):
        await server.patch(path, change)
        await server.get(path)
    for bad in (
        {},
        {"name": "T"},
        {"slug": "t"},
        {"name": "T", "slug": "Not A Slug"},
        {"name": "a/b", "slug": "t"},
        {"name": "T", "slug": "t", "more": 1},
        {"name": 5, "slug": "t"},
    ):
        await server.post("/block_types/", bad)
    await server.post("/block_types/filter", {"block_types": {"name": {"like_": "type 1"}}})
    await server.post("/block_types/filter", {"block_types": {"slug": {"any_": ["type-1"]}}})
    await server.post("/block_types/filter", {"limit": 201})
    await server.delete(path)
    await server.get(path)
    await server.delete(path)
    await server.patch(path, {"description": "x"})
    await server.get("/block_types/slug/nothing")
    await server.get("/block_types/no-id")


async def system_types_are_there_and_stay(server: Conversation) -> None:
    await server.post("/block_types/install_system_block_types")
    for slug in ("secret",):
        type = await server.get(f"/block_types/slug/{slug}")
        await server.post(
            "/block_schemas/filter",
            {"block_schemas": {"block_type_id": {"any_": [type["id"]]}}},
        )
    await server.delete(f"/block_types/{type['id']}")
    await server.patch(f"/block_types/{type['id']}", {"description": "mine"})


async def schemas(server: Conversation) -> None:
    type = await server.post("/block_types/", {"name": "schemas-1", "slug": "schemas-1"})
    body = {"fields": FIELDS, "block_type_id": type["id"], "capabilities": ["x", "y"]}
    made = await server.post("/block_schemas/", body)
    await server.post("/block_schemas/", body)
    await server.post("/block_schemas/", {**body, "version": "2"})
    await server.get(f"/block_schemas/{made['id']}")
    await server.get(f"/block_schemas/checksum/{made['checksum']}")
    await server.get(f"/block_schemas/checksum/{made['checksum']}", params={"version": "2"})
    await server.get(f"/block_schemas/checksum/{made['checksum']}", params={"version": "9"})
    await server.get("/block_schemas/checksum/nothing")
    for filter in (
        {"block_capabilities": {"all_": ["x", "y"]}},
        {"version": {"any_": ["2"]}},
        {"id": {"any_": [made["id"]]}},
    ):
        mine = {"block_type_id": {"any_": [type["id"]]}}
        await server.post("/block_schemas/filter", {"block_schemas": {**mine, **filter}})
    await server.get("/block_capabilities/")
    for bad in (
        {"block_type_id": NOBODY},
        {"block_type_id": "no"},
        {"fields": "x"},
        {"capabilities": "x"},
        {"version": 5},
        {"more": 1},
    ):
        await server.post("/block_schemas/", {**body, **bad})
    await server.delete(f"/block_schemas/{made['id']}")
    await server.delete(f"/block_schemas/{made['id']}")
    await server.get(f"/block_schemas/{made['id']}")


async def documents(server: Conversation) -> None:
    type, schema = await _schema(server, "documents-1")
    body = {
        "name": "doc-1",
        "data": {"a": "x", "s": "hidden"},
        "block_schema_id": schema,
        "block_type_id": type,
    }
    made = await server.post("/block_documents/", body)
    await server.post("/block_documents/", body)
    path = f"/block_documents/{made['id']}"
    by_slug = "/block_types/slug/documents-1/block_documents"
    for include in (False, True):
        params = {"include_secrets": include}
        await server.get(path, params=params)
        await server.get(by_slug, params=params)
        await server.get(f"{by_slug}/name/doc-1", params=params)
        mine = {"block_types": {"slug": {"any_": ["documents-1"]}}}
        await server.post("/block_documents/filter", {**mine, "include_secrets": include})
    for change in (
        {"data": {"a": "y"}},
        {"data": {"s": "other"}},
        {"data": {"a": "z"}, "merge_existing_data": False},
        {"block_schema_id": NOBODY},
        {"more": 1},
        {"data": "x"},
    ):
        await server.patch(path, change)
        await server.get(path, params={"include_secrets": True})
    for bad in (
        {"name": "Not A Name"},
        {"name": None},
        {"name": "doc-2", "block_type_id": NOBODY},
        {"name": "doc-2", "block_schema_id": NOBODY},
        {"name": "doc-2", "data": []},
        {"name": "doc-2", "more": 1},
        {"name": "doc-2", "is_anonymous": "x"},
    ):
        await server.post("/block_documents/", {**body, **bad})
    anonymous = {**body, "is_anonymous": True}
    del anonymous["name"]
    await server.post("/block_documents/", anonymous)
    for filter in (
        {},
        {"is_anonymous": None},
        {"is_anonymous": {"eq_": True}},
        {"name": {"any_": ["doc-1"]}},
        {"name": {"like_": "OC"}},
        {"block_type_id": {"any_": [type]}},
    ):
        asked = {
            "block_documents": filter,
            "block_types": {"slug": {"any_": ["documents-1"]}},
        }
        await server.post("/block_documents/filter", {**asked, "sort": "NAME_ASC"})
        await server.post("/block_documents/count", asked)
    for page in ({"limit": 0}, {"limit": 201}, {"sort": "NO"}, {"offset": -1}):
        await server.post("/block_documents/filter", page)
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    await server.patch(path, {"data": {}})
    await server.get(f"{by_slug}/name/nothing")
    await server.get("/block_types/slug/nothing/block_documents")
    await server.get("/block_types/slug/nothing/block_documents/name/nothing")
    await server.get("/block_documents/no-id")
