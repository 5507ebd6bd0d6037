"""Block types, schemas and documents. What a document holds is bytes here: encrypted by others."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from app.wire.blocks import (
    BlockDocumentQuery,
    BlockDocumentSelection,
    BlockSchema,
    BlockSchemaCreate,
    BlockSchemaFilter,
    BlockSchemaQuery,
    BlockType,
    BlockTypeCreate,
    BlockTypeFilter,
    BlockTypeQuery,
)
from app.wire.filters import AnyId, AnyText
from storage.errors import NotFound
from storage.postgres import block_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_INSERT_TYPE = statement("insert_block_type")
_WRITE_TYPE = statement("write_block_type")
_DELETE_TYPE = statement("delete_block_type")
_TYPES_BY_ID = f"{statement('select_block_types')} WHERE b.id = ANY ($1)"
_INSERT_SCHEMA = statement("insert_block_schema")
_DELETE_SCHEMA = statement("delete_block_schema")
_CAPABILITIES = statement("select_block_capabilities")
_LOCK_DOCUMENT = statement("lock_block_document")
_INSERT_DOCUMENT = statement("insert_block_document")
_WRITE_DOCUMENT = statement("write_block_document")
_DELETE_DOCUMENT = statement("delete_block_document")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A block document as it is kept; `data` is encrypted."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    data: bytes
    is_anonymous: bool
    block_type_id: uuid.UUID
    block_schema_id: uuid.UUID


def _type_of(row: asyncpg.Record) -> BlockType:
    return BlockType(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        slug=row["slug"],
        logo_url=row["logo_url"],
        documentation_url=row["documentation_url"],
        description=row["description"],
        code_example=row["code_example"],
        is_protected=row["is_protected"],
    )


def _schema_of(row: asyncpg.Record) -> BlockSchema:
    return BlockSchema(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        checksum=row["checksum"],
        fields=msgspec.Raw(row["fields"].encode()),
        block_type_id=row["block_type_id"],
        block_type=BlockType(
            id=row["block_type_id"],
            created=row["type_created"],
            updated=row["type_updated"],
            name=row["type_name"],
            slug=row["type_slug"],
            logo_url=row["type_logo_url"],
            documentation_url=row["type_documentation_url"],
            description=row["type_description"],
            code_example=row["type_code_example"],
            is_protected=row["type_is_protected"],
        ),
        capabilities=row["capabilities"],
        version=row["version"],
    )


def _document_of(row: asyncpg.Record) -> StoredDocument:
    return StoredDocument(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        data=row["data"],
        is_anonymous=row["is_anonymous"],
        block_type_id=row["block_type_id"],
        block_schema_id=row["block_schema_id"],
    )


# Types --------------------------------------------------------------------------------------------


async def insert_type(
    conn: Conn, create: BlockTypeCreate, *, id: uuid.UUID, now: dt.datetime
) -> BlockType:
    """Raises Conflict for a slug that is taken."""
    await conn.execute(
        _INSERT_TYPE,
        id,
        now,
        create.name,
        create.slug,
        create.logo_url,
        create.documentation_url,
        create.description,
        create.code_example,
    )
    return await read_type(conn, id)


async def read_type(conn: Conn, id: uuid.UUID) -> BlockType:
    """Raises NotFound."""
    row = await conn.fetchrow(_TYPES_BY_ID, [id])
    if row is None:
        raise NotFound("Block type not found")
    return _type_of(row)


async def read_types(conn: Conn, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, BlockType]:
    """Those that exist, by id."""
    return {row["id"]: _type_of(row) for row in await conn.fetch(_TYPES_BY_ID, list(ids))}


async def read_type_of_slug(conn: Conn, slug: str) -> BlockType:
    """Raises NotFound."""
    wanted = BlockTypeFilter(slug=AnyText(any_=[slug]))
    found = await select_types(conn, BlockTypeQuery(block_types=wanted, limit=1))
    if not found:
        raise NotFound("Block type not found")
    return found[0]


async def write_type(conn: Conn, block_type: BlockType) -> None:
    """Keep what may change of a block type."""
    await conn.execute(
        _WRITE_TYPE,
        block_type.id,
        block_type.updated,
        block_type.logo_url,
        block_type.documentation_url,
        block_type.description,
        block_type.code_example,
    )


async def delete_type(conn: Conn, id: uuid.UUID) -> None:
    """Delete it with its schemas and documents."""
    await conn.execute(_DELETE_TYPE, id)


async def select_types(conn: Conn, query: BlockTypeQuery) -> list[BlockType]:
    """One stretch of the block types that match."""
    sql, values = block_filters.select_types(query)
    return [_type_of(row) for row in await conn.fetch(sql, *values)]


# Schemas ------------------------------------------------------------------------------------------


async def get_or_create_schema(
    conn: Conn, create: BlockSchemaCreate, checksum: str, *, id: uuid.UUID, now: dt.datetime
) -> tuple[BlockSchema, bool]:
    """The schema of that checksum and version, and whether it was made now.

    Raises:
        Conflict: there is no such block type.
    """
    made = await conn.fetchval(
        _INSERT_SCHEMA,
        id,
        now,
        checksum,
        bytes(create.fields).decode(),
        create.capabilities,
        create.version,
        create.block_type_id,
    )
    return await read_schema_of_checksum(conn, checksum, create.version), made is not None


async def read_schema(conn: Conn, id: uuid.UUID) -> BlockSchema:
    """Raises NotFound."""
    found = await read_schemas(conn, [id])
    if id not in found:
        raise NotFound("Block schema not found")
    return found[id]


async def read_schemas(conn: Conn, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, BlockSchema]:
    """Those that exist, by id."""
    wanted = BlockSchemaFilter(id=AnyId(any_=list(ids)))
    found = await select_schemas(conn, BlockSchemaQuery(block_schemas=wanted, limit=len(ids)))
    return {schema.id: schema for schema in found}


async def read_schema_of_checksum(conn: Conn, checksum: str, version: str | None) -> BlockSchema:
    """The newest schema of a checksum, of one version if given. Raises NotFound."""
    sql, values = block_filters.select_schemas(
        BlockSchemaQuery(limit=1), checksum=checksum, version=version
    )
    row = await conn.fetchrow(sql, *values)
    if row is None:
        raise NotFound("Block schema not found")
    return _schema_of(row)


async def delete_schema(conn: Conn, id: uuid.UUID) -> None:
    """Delete it with its documents. Raises NotFound."""
    if await conn.fetchval(_DELETE_SCHEMA, id) is None:
        raise NotFound("Block schema not found")


async def select_schemas(conn: Conn, query: BlockSchemaQuery) -> list[BlockSchema]:
    """One stretch of the block schemas that match."""
    sql, values = block_filters.select_schemas(query)
    return [_schema_of(row) for row in await conn.fetch(sql, *values)]


async def select_capabilities(conn: Conn) -> list[str]:
    """What blocks of any schema can do, each once."""
    return [row["capability"] for row in await conn.fetch(_CAPABILITIES)]


# Documents ----------------------------------------------------------------------------------------


async def insert_document(conn: Conn, document: StoredDocument) -> None:
    """Raises Conflict for a name that is taken, or a type or schema that is not there."""
    await conn.execute(
        _INSERT_DOCUMENT,
        document.id,
        document.created,
        document.name,
        document.data,
        document.is_anonymous,
        document.block_type_id,
        document.block_schema_id,
    )


async def lock_document(conn: Conn, id: uuid.UUID) -> StoredDocument:
    """The document, locked until the transaction ends. Raises NotFound."""
    row = await conn.fetchrow(_LOCK_DOCUMENT, id)
    if row is None:
        raise NotFound("Block document not found")
    return _document_of(row)


async def write_document(conn: Conn, document: StoredDocument) -> None:
    """Keep what may change of a locked document. Raises Conflict for a schema that is not there."""
    await conn.execute(
        _WRITE_DOCUMENT, document.id, document.updated, document.data, document.block_schema_id
    )


async def read_documents(conn: Conn, ids: Sequence[uuid.UUID]) -> list[StoredDocument]:
    """Those that exist, in no order."""
    sql, values = block_filters.select_documents_of_ids(list(ids))
    return [_document_of(row) for row in await conn.fetch(sql, *values)]


async def read_document_of_name(conn: Conn, slug: str, name: str) -> StoredDocument:
    """Raises NotFound."""
    sql, values = block_filters.select_document_of_name(slug, name)
    row = await conn.fetchrow(sql, *values)
    if row is None:
        raise NotFound("Block document not found")
    return _document_of(row)


async def delete_document(conn: Conn, id: uuid.UUID) -> None:
    """Raises NotFound."""
    if await conn.fetchval(_DELETE_DOCUMENT, id) is None:
        raise NotFound("Block document not found")


async def select_documents(conn: Conn, query: BlockDocumentQuery) -> list[StoredDocument]:
    """One stretch of the block documents that match."""
    sql, values = block_filters.select_documents(query)
    return [_document_of(row) for row in await conn.fetch(sql, *values)]


async def count_documents(conn: Conn, selection: BlockDocumentSelection) -> int:
    """How many match."""
    sql, values = block_filters.count_documents(selection)
    count: int = await conn.fetchval(sql, *values)
    return count
