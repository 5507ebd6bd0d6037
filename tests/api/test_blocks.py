"""Blocks: found by what they are, kept encrypted, shown without their secrets."""

import uuid
from dataclasses import replace
from typing import Any

import httpx

from app.services import ServicesConfig
from storage.postgres.pool import Pool
from tests.conftest import running_lifespan

NOBODY = uuid.uuid4()
SECRET_CHECKSUM = "sha256:c078ed9c1e813e224c0b353d7ad4564a11d51d3198d9ac0686478165a1911c78"


async def create_type(client: httpx.AsyncClient, name: str, **fields: Any) -> tuple[str, str]:
    """The ids of a new type and of its schema."""
    answer = await client.post("/block_types/", json={"name": name.title(), "slug": name})
    assert answer.status_code == 201
    body = {"block_type_id": answer.json()["id"], "fields": {"block_type_slug": name, **fields}}
    schema = await client.post("/block_schemas/", json=body)
    assert schema.status_code == 201
    return answer.json()["id"], schema.json()["id"]


async def test_a_secret_is_kept_encrypted_and_shown_when_asked_for(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    block_type = (await client.get("/block_types/slug/secret")).json()
    assert block_type["is_protected"] is True
    schema = (await client.get(f"/block_schemas/checksum/{SECRET_CHECKSUM}?version=3.8.8")).json()
    assert schema["block_type"] == block_type
    assert schema["fields"]["secret_fields"] == ["value", "value"]
    body = {
        "name": "mine",
        "data": {"value": "hush-hush"},
        "block_type_id": block_type["id"],
        "block_schema_id": schema["id"],
    }
    made = await client.post("/block_documents/", json=body)
    assert made.status_code == 201
    document = made.json()
    assert document["data"] == {"value": "********"}
    assert document["block_type_name"] == "Secret"
    again = await client.post("/block_documents/", json=body)
    assert (again.status_code, again.json()) == (409, {"detail": "Block already exists"})

    path = "/block_types/slug/secret/block_documents/name/mine"
    assert (await client.get(path)).json() == document
    told = (await client.get(path, params={"include_secrets": "true"})).json()
    assert told["data"] == {"value": "hush-hush"}
    kept = await pool.fetchval("SELECT data FROM block_document")
    assert b"hush" not in kept

    masked = {"data": {"value": "********"}}
    assert (
        await client.patch(f"/block_documents/{document['id']}", json=masked)
    ).status_code == 204
    told = (await client.get(path, params={"include_secrets": "true"})).json()
    assert told["data"] == {"value": "hush-hush"}
    await client.patch(f"/block_documents/{document['id']}", json={"data": {"value": {"a": 1}}})
    assert (await client.get(path)).json()["data"] == {"value": "********"}

    assert (await client.delete(f"/block_documents/{document['id']}")).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_the_default_storage_can_be_written_to_and_goes_with_its_block(
    client: httpx.AsyncClient,
) -> None:
    ids: dict[str, str] = {}
    for slug in ("secret", "local-file-system"):
        type_id = (await client.get(f"/block_types/slug/{slug}")).json()["id"]
        of_type = {"block_schemas": {"block_type_id": {"any_": [type_id]}}}
        schema = (await client.post("/block_schemas/filter", json=of_type)).json()[0]
        body = {"name": "kept", "block_type_id": type_id, "block_schema_id": schema["id"]}
        ids[slug] = (await client.post("/block_documents/", json=body)).json()["id"]

    files = {"default_result_storage_block_id": ids["local-file-system"]}
    assert (await client.put("/admin/storage", json=files)).json() == files
    refused = await client.put(
        "/admin/storage", json={"default_result_storage_block_id": ids["secret"]}
    )
    reason = f"Block document {ids['secret']} cannot be used for result storage."
    assert (refused.status_code, refused.json()) == (422, {"detail": reason})
    assert (await client.get("/admin/storage")).json() == files
    await client.delete(f"/block_documents/{ids['local-file-system']}")
    read = await client.get("/admin/storage")
    assert read.json() == {"default_result_storage_block_id": None}


async def test_the_types_of_the_server_are_there_without_being_installed(
    client: httpx.AsyncClient,
) -> None:
    before = (await client.post("/block_types/filter", json={})).json()
    answer = await client.post("/block_types/install_system_block_types")
    assert (answer.status_code, answer.json()) == (200, None)
    assert (await client.post("/block_types/filter", json={})).json() == before


async def test_a_schema_is_found_again_by_its_checksum(client: httpx.AsyncClient) -> None:
    type_id, schema_id = await create_type(client, "house", properties={"doors": {}})
    body: dict[str, Any] = {
        "block_type_id": type_id,
        "fields": {"properties": {"doors": {}}, "block_type_slug": "house"},
    }
    again = await client.post("/block_schemas/", json=body)
    assert (again.status_code, again.json()["id"]) == (200, schema_id)
    of_nothing = await client.post("/block_schemas/", json={**body, "block_type_id": str(NOBODY)})
    told = {"detail": f"Block type {NOBODY} not found."}
    assert (of_nothing.status_code, of_nothing.json()) == (404, told)
    newer = await client.post(
        "/block_schemas/", json=body | {"version": "2", "capabilities": ["x"]}
    )
    assert newer.status_code == 201
    checksum = newer.json()["checksum"]
    assert checksum == again.json()["checksum"]
    assert (await client.get(f"/block_schemas/checksum/{checksum}")).json() == newer.json()
    only = await client.get(f"/block_schemas/checksum/{checksum}?version=non-versioned")
    assert only.json()["id"] == schema_id
    assert (await client.get(f"/block_schemas/checksum/{checksum}?version=3")).status_code == 404
    able = {"block_schemas": {"block_capabilities": {"all_": ["x"]}}}
    assert [s["id"] for s in (await client.post("/block_schemas/filter", json=able)).json()] == [
        newer.json()["id"]
    ]
    types = (await client.post("/block_types/filter", json=able)).json()
    assert [block_type["slug"] for block_type in types] == ["house"]
    assert "x" in (await client.get("/block_capabilities/")).json()
    unknown = {"block_type_id": schema_id, "fields": {"a": 1}}
    assert (await client.post("/block_schemas/", json=unknown)).status_code == 404


async def test_a_document_shows_the_documents_it_refers_to(client: httpx.AsyncClient) -> None:
    inner_type, inner_schema = await create_type(client, "inner", secret_fields=["password"])
    outer_type, outer_schema = await create_type(client, "outer", secret_fields=["token"])
    inner = await client.post(
        "/block_documents/",
        json={
            "name": "in",
            "data": {"user": "u", "password": "p"},
            "block_type_id": inner_type,
            "block_schema_id": inner_schema,
        },
    )
    reference = {"$ref": {"block_document_id": inner.json()["id"]}}
    outer = await client.post(
        "/block_documents/",
        json={
            "name": "out",
            "data": {"token": "t", "creds": reference},
            "block_type_id": outer_type,
            "block_schema_id": outer_schema,
        },
    )
    shown = outer.json()
    assert shown["data"] == {"token": "********", "creds": {"user": "u", "password": "********"}}
    referred = shown["block_document_references"]["creds"]["block_document"]
    assert (referred["name"], referred["block_type"]["slug"]) == ("in", "inner")
    path = f"/block_documents/{shown['id']}"
    told = (await client.get(path, params={"include_secrets": True})).json()
    assert told["data"] == {"token": "t", "creds": {"user": "u", "password": "p"}}

    found = await client.post("/block_documents/filter", json={"sort": "BLOCK_TYPE_AND_NAME_ASC"})
    assert [document["name"] for document in found.json()] == ["in", "out"]
    assert (await client.post("/block_documents/count")).json() == 2
    only = {"block_types": {"slug": {"any_": ["outer"]}}}
    assert (await client.post("/block_documents/count", json=only)).json() == 1

    # A ring of references is cut, not followed for ever.
    ring = {"data": {"self": {"$ref": {"block_document_id": shown["id"]}}}}
    assert (await client.patch(path, json=ring)).status_code == 204
    assert (await client.get(path)).status_code == 200
    await client.delete(f"/block_documents/{inner.json()['id']}")
    assert "creds" not in (await client.get(path)).json()["data"]
    assert (await client.patch(path, json={"data": {"creds": reference}})).status_code == 409
    broken = {"data": {"creds": {"$ref": "x"}}}
    assert (await client.patch(path, json=broken)).status_code == 422


async def test_anonymous_documents_need_no_name_and_are_not_listed(
    client: httpx.AsyncClient,
) -> None:
    type_id, schema_id = await create_type(client, "house")
    body: dict[str, Any] = {
        "block_type_id": type_id,
        "block_schema_id": schema_id,
        "data": {},
    }
    assert (await client.post("/block_documents/", json=body)).status_code == 422
    named = await client.post("/block_documents/", json=body | {"name": "No_Name"})
    assert named.json()["exception_detail"][0]["loc"] == ["body", "name"]
    made = await client.post("/block_documents/", json=body | {"is_anonymous": True})
    assert made.json()["name"].startswith("anonymous-")
    assert (await client.post("/block_documents/filter")).json() == []
    everything: dict[str, Any] = {"block_documents": {"is_anonymous": None}}
    assert len((await client.post("/block_documents/filter", json=everything)).json()) == 1


async def test_types_of_the_server_stay(client: httpx.AsyncClient) -> None:
    seeded = (await client.post("/block_types/filter")).json()
    assert {"secret", "local-file-system", "webhook", "slack-webhook"} <= {
        t["slug"] for t in seeded
    }
    secret = (await client.get("/block_types/slug/secret")).json()
    path = f"/block_types/{secret['id']}"
    assert (await client.delete(path)).status_code == 403
    assert (await client.patch(path, json={"code_example": "x"})).status_code == 204
    changed = (await client.get(path)).json()
    assert (changed["code_example"], changed["description"]) == ("x", secret["description"])
    taken = await client.post("/block_types/", json={"name": "Secret", "slug": "secret"})
    assert taken.status_code == 409
    mine, _ = await create_type(client, "mine")
    assert (await client.delete(f"/block_types/{mine}")).status_code == 204
    assert (await client.get(f"/block_types/{mine}")).status_code == 404


async def test_without_a_key_nothing_is_kept(services_config: ServicesConfig) -> None:
    from app.server import create_app

    app = create_app(replace(services_config, encryption_key=None))
    async with running_lifespan(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # pyrefly: ignore
        async with httpx.AsyncClient(transport=transport, base_url="http://t/api") as client:
            type_id, schema_id = await create_type(client, "house")
            body: dict[str, Any] = {
                "name": "a",
                "data": {},
                "block_type_id": type_id,
                "block_schema_id": schema_id,
            }
            answer = await client.post("/block_documents/", json=body)
            assert answer.status_code == 501
            assert "encryption key" in answer.json()["detail"]
            assert (await client.post("/block_documents/count")).json() == 0
