"""Blocks: their types, their schemas, their documents."""

import json
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.api.telling import telling
from app.orchestration import block_documents
from app.orchestration.object_events import block_document_event, block_type_event
from app.rules.blocks import checksum
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.blocks import (
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentQuery,
    BlockDocumentSelection,
    BlockDocumentUpdate,
    BlockSchema,
    BlockSchemaCreate,
    BlockSchemaQuery,
    BlockType,
    BlockTypeCreate,
    BlockTypeFilter,
    BlockTypeQuery,
    BlockTypeUpdate,
)
from app.wire.filters import AnyText
from storage.errors import Conflict, NotFound
from storage.postgres import blocks
from storage.postgres.pool import connection, transaction

_type_decoder = msgspec.json.Decoder(BlockTypeCreate)
_type_update_decoder = msgspec.json.Decoder(BlockTypeUpdate)
_type_query_decoder = msgspec.json.Decoder(BlockTypeQuery)
_schema_decoder = msgspec.json.Decoder(BlockSchemaCreate)
_schema_query_decoder = msgspec.json.Decoder(BlockSchemaQuery)
_document_decoder = msgspec.json.Decoder(BlockDocumentCreate)
_document_update_decoder = msgspec.json.Decoder(BlockDocumentUpdate)
_document_query_decoder = msgspec.json.Decoder(BlockDocumentQuery)
_document_selection_decoder = msgspec.json.Decoder(BlockDocumentSelection)


@post("/block_types/", status_code=201, operation_class=takes(_type_decoder))
async def create_block_type(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> BlockType:
    """A new block type; 409 when the slug is taken."""
    create = await decode_body(request, _type_decoder)
    now = utc_now()
    try:
        async with telling(services) as (conn, events):
            made = await blocks.insert_type(conn, create, id=new_id(), now=now)
            events.append(block_type_event("created", made, now=now))
    except Conflict as error:
        raise HTTPException(
            status_code=409, detail=f'Block type with name "{create.name}" already exists'
        ) from error
    return made


@get("/block_types/{id:uuid}")
async def read_block_type(id: FromPath[UUID], services: NamedDependency[Services]) -> BlockType:
    """One block type."""
    async with connection(services.pool) as conn:
        return await blocks.read_type(conn, id)


@get("/block_types/slug/{slug:str}")
async def read_block_type_of_slug(
    slug: FromPath[str], services: NamedDependency[Services]
) -> BlockType:
    """One block type."""
    async with connection(services.pool) as conn:
        return await blocks.read_type_of_slug(conn, slug)


@post("/block_types/install_system_block_types", status_code=200)
async def install_system_block_types() -> None:
    """Nothing is to be done: the server's own types come with its database and cannot be deleted."""


@post("/block_types/filter", status_code=200, operation_class=takes(_type_query_decoder))
async def read_block_types(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[BlockType]:
    """A page of the block types that match."""
    query = await decode_body(request, _type_query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await blocks.select_types(conn, query)


@patch("/block_types/{id:uuid}", status_code=204, operation_class=takes(_type_update_decoder))
async def update_block_type(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names."""
    update = await decode_body(request, _type_update_decoder)
    now = utc_now()
    async with telling(services) as (conn, events):
        current = await blocks.read_type(conn, id)
        changes = {
            field: value
            for field in update.__struct_fields__
            if (value := getattr(update, field)) is not msgspec.UNSET
        }
        changed = msgspec.structs.replace(current, **changes)
        if changed != current:
            await blocks.write_type(conn, msgspec.structs.replace(changed, updated=now))
        events.append(block_type_event("updated", changed, now=now))


@delete("/block_types/{id:uuid}")
async def delete_block_type(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it with its schemas and documents; the server's own cannot be."""
    async with telling(services) as (conn, events):
        gone = await blocks.read_type(conn, id)
        if gone.is_protected:
            raise HTTPException(status_code=403, detail="protected block types cannot be deleted.")
        await blocks.delete_type(conn, id)
        events.append(block_type_event("deleted", gone, now=utc_now()))


@get("/block_types/slug/{slug:str}/block_documents")
async def read_documents_of_type(
    slug: FromPath[str],
    services: NamedDependency[Services],
    include_secrets: FromQuery[bool] = False,
) -> list[BlockDocument]:
    """All named documents of a type, by name."""
    query = BlockDocumentQuery(block_types=BlockTypeFilter(slug=AnyText(any_=[slug])))
    async with connection(services.pool) as conn:
        await blocks.read_type_of_slug(conn, slug)
        found = await blocks.select_documents(conn, query)
        return await block_documents.shown(
            conn, services.encryption, found, include_secrets=include_secrets
        )


@get("/block_types/slug/{slug:str}/block_documents/name/{name:str}")
async def read_document_of_name(
    slug: FromPath[str],
    name: FromPath[str],
    services: NamedDependency[Services],
    include_secrets: FromQuery[bool] = False,
) -> BlockDocument:
    """One document, by its type and name."""
    async with connection(services.pool) as conn:
        stored = await blocks.read_document_of_name(conn, slug, name)
        found = await block_documents.shown(
            conn, services.encryption, [stored], include_secrets=include_secrets
        )
    return found[0]


@post("/block_schemas/", status_code=201, operation_class=takes(_schema_decoder, also=200))
async def create_block_schema(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Response[BlockSchema]:
    """A schema by what it says: 201 when it is new, 200 when it is known, 404 when there is no such
    block type."""
    create = await decode_body(request, _schema_decoder)
    fields = json.loads(bytes(create.fields))
    if not isinstance(fields, dict):
        raise InvalidRequest(["body", "fields"], "Expected `object`")
    async with transaction(services.pool) as conn:
        if not await blocks.read_types(conn, [create.block_type_id]):
            raise NotFound(f"Block type {create.block_type_id} not found.")
        schema, new = await blocks.get_or_create_schema(
            conn, create, checksum(fields), id=new_id(), now=utc_now()
        )
    return Response(schema, status_code=201 if new else 200)


@get("/block_schemas/{id:uuid}")
async def read_block_schema(id: FromPath[UUID], services: NamedDependency[Services]) -> BlockSchema:
    """One schema."""
    async with connection(services.pool) as conn:
        return await blocks.read_schema(conn, id)


@get("/block_schemas/checksum/{checksum:str}")
async def read_block_schema_of_checksum(
    checksum: FromPath[str],
    services: NamedDependency[Services],
    version: FromQuery[str | None] = None,
) -> BlockSchema:
    """The newest schema of a checksum; that there is none is a normal answer to clients."""
    async with connection(services.pool) as conn:
        return await blocks.read_schema_of_checksum(conn, checksum, version)


@post("/block_schemas/filter", status_code=200, operation_class=takes(_schema_query_decoder))
async def read_block_schemas(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[BlockSchema]:
    """A page of the schemas that match, newest first."""
    query = await decode_body(request, _schema_query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await blocks.select_schemas(conn, query)


@delete("/block_schemas/{id:uuid}")
async def delete_block_schema(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it with its documents; those of the server's own types cannot be."""
    async with transaction(services.pool) as conn:
        if (await blocks.read_schema(conn, id)).block_type.is_protected:
            raise HTTPException(status_code=403, detail="protected block types cannot be deleted.")
        await blocks.delete_schema(conn, id)


@get("/block_capabilities/")
async def read_block_capabilities(services: NamedDependency[Services]) -> list[str]:
    """What blocks of any schema can do."""
    async with connection(services.pool) as conn:
        return await blocks.select_capabilities(conn)


@post("/block_documents/", status_code=201, operation_class=takes(_document_decoder))
async def create_block_document(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> BlockDocument:
    """A new document; 409 when the name is taken. The answer masks its secrets."""
    create = await decode_body(request, _document_decoder)
    now = utc_now()
    try:
        async with telling(services) as (conn, events):
            made = await block_documents.create_document(
                conn, services.encryption, create, id=new_id(), now=now
            )
            if not made.is_anonymous:
                events.append(
                    block_document_event("created", made.id, made.name, made.block_schema, now=now)
                )
    except Conflict as error:
        if error.constraint != "block_document_name_is_unique":
            raise
        raise HTTPException(status_code=409, detail="Block already exists") from error
    return made


@get("/block_documents/{id:uuid}")
async def read_block_document(
    id: FromPath[UUID],
    services: NamedDependency[Services],
    include_secrets: FromQuery[bool] = False,
) -> BlockDocument:
    """One document."""
    async with connection(services.pool) as conn:
        return await block_documents.read_document(
            conn, services.encryption, id, include_secrets=include_secrets
        )


@patch(
    "/block_documents/{id:uuid}", status_code=204, operation_class=takes(_document_update_decoder)
)
async def update_block_document(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change values; masked ones stay as they are."""
    update = await decode_body(request, _document_update_decoder)
    now = utc_now()
    async with telling(services) as (conn, events):
        changed = await block_documents.update_document(
            conn, services.encryption, id, update, now=now
        )
        if not changed.is_anonymous:
            schema = await blocks.read_schema(conn, changed.block_schema_id)
            events.append(block_document_event("updated", id, changed.name, schema, now=now))


@delete("/block_documents/{id:uuid}")
async def delete_block_document(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it; documents that refer to it are without that value then."""
    async with telling(services) as (conn, events):
        gone = await blocks.lock_document(conn, id)
        if not gone.is_anonymous:
            schema = await blocks.read_schema(conn, gone.block_schema_id)
            events.append(block_document_event("deleted", id, gone.name, schema, now=utc_now()))
        await blocks.delete_document(conn, id)


@post("/block_documents/filter", status_code=200, operation_class=takes(_document_query_decoder))
async def read_block_documents(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[BlockDocument]:
    """A page of the documents that match."""
    query = await decode_body(request, _document_query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        found = await blocks.select_documents(conn, query)
        return await block_documents.shown(
            conn, services.encryption, found, include_secrets=query.include_secrets
        )


@post("/block_documents/count", status_code=200, operation_class=takes(_document_selection_decoder))
async def count_block_documents(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> int:
    """How many match."""
    selection = await decode_body(request, _document_selection_decoder)
    async with connection(services.pool) as conn:
        return await blocks.count_documents(conn, selection)


ROUTES: list[ControllerRouterHandler] = [
    create_block_type,
    read_block_type,
    read_block_type_of_slug,
    install_system_block_types,
    read_block_types,
    update_block_type,
    delete_block_type,
    read_documents_of_type,
    read_document_of_name,
    create_block_schema,
    read_block_schema,
    read_block_schema_of_checksum,
    read_block_schemas,
    delete_block_schema,
    read_block_capabilities,
    create_block_document,
    read_block_document,
    update_block_document,
    delete_block_document,
    read_block_documents,
    count_block_documents,
]
