"""Block documents: encrypted when kept; when read, with the documents they refer to put in place
and, unless asked for, their secrets masked."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from app.rules.blocks import masked, references, secret_fields, updated
from app.wire.base import Json
from app.wire.blocks import (
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchema,
    BlockType,
)
from storage.encryption import Encryption
from storage.errors import Conflict, InvalidValue, NotFound
from storage.postgres import blocks
from storage.postgres.blocks import StoredDocument
from storage.postgres.pool import Conn

# Documents refer to documents; a ring, or a chain longer than this, is cut.
MAX_DEPTH = 10


async def create_document(
    conn: Conn,
    encryption: Encryption,
    create: BlockDocumentCreate,
    *,
    id: uuid.UUID,
    now: dt.datetime,
) -> BlockDocument:
    """Keep a new document.

    Raises:
        Conflict: the name is taken, or its type, its schema or a document it refers to is not there.
        InvalidValue: a reference names no document.
    """
    await _check_references(conn, create.data)
    stored = StoredDocument(
        id=id,
        created=now,
        updated=now,
        name=create.name or f"anonymous-{id}",
        data=encryption.encrypt(msgspec.json.encode(create.data)),
        is_anonymous=create.is_anonymous,
        block_type_id=create.block_type_id,
        block_schema_id=create.block_schema_id,
    )
    await blocks.insert_document(conn, stored)
    return (await shown(conn, encryption, [stored], include_secrets=False))[0]


async def update_document(
    conn: Conn,
    encryption: Encryption,
    id: uuid.UUID,
    update: BlockDocumentUpdate,
    *,
    now: dt.datetime,
) -> StoredDocument:
    """Change values, and the schema if one is given; the document as it is kept then.

    Raises:
        NotFound: there is no such document.
        Conflict: the schema or a document it refers to is not there.
        InvalidValue: a reference names no document.
    """
    stored = await blocks.lock_document(conn, id)
    current: Json = msgspec.json.decode(encryption.decrypt(stored.data), type=Json)
    data = updated(current, update.data, merge=update.merge_existing_data)
    await _check_references(conn, update.data)
    changed = replace(
        stored,
        updated=now,
        data=encryption.encrypt(msgspec.json.encode(data)),
        block_schema_id=update.block_schema_id or stored.block_schema_id,
    )
    await blocks.write_document(conn, changed)
    return changed


async def read_document(
    conn: Conn, encryption: Encryption, id: uuid.UUID, *, include_secrets: bool
) -> BlockDocument:
    """Raises NotFound."""
    stored = await blocks.read_documents(conn, [id])
    if not stored:
        raise NotFound("Block document not found")
    return (await shown(conn, encryption, stored, include_secrets=include_secrets))[0]


async def _check_references(conn: Conn, data: Json) -> None:
    try:
        wanted = set(references(data).values())
    except ValueError as error:
        raise InvalidValue(str(error)) from error
    if not wanted:
        return
    known = {stored.id for stored in await blocks.read_documents(conn, list(wanted))}
    for missing in wanted - known:
        raise Conflict("", f"Block document {missing}, which is referred to, is not there.")


async def shown(
    conn: Conn,
    encryption: Encryption,
    documents: Sequence[StoredDocument],
    *,
    include_secrets: bool,
) -> list[BlockDocument]:
    """The documents as they are answered."""
    stored = {document.id: document for document in documents}
    data: dict[uuid.UUID, Json] = {}
    missing = set(stored)
    for _ in range(MAX_DEPTH):
        for id in missing:
            data[id] = msgspec.json.decode(encryption.decrypt(stored[id].data), type=Json)
        referred = {target for id in missing for target in references(data[id]).values()}
        found = await blocks.read_documents(conn, list(referred - set(stored)))
        if not found:
            break
        missing = {document.id for document in found}
        stored.update({document.id: document for document in found})
    schemas = await blocks.read_schemas(conn, [each.block_schema_id for each in stored.values()])
    types = await blocks.read_types(conn, [each.block_type_id for each in stored.values()])
    view = _View(stored, data, schemas, types, include_secrets=include_secrets)
    return [view.document(document.id) for document in documents]


class _View:
    """Documents that were read together, and what they refer to."""

    def __init__(
        self,
        stored: dict[uuid.UUID, StoredDocument],
        data: dict[uuid.UUID, Json],
        schemas: dict[uuid.UUID, BlockSchema],
        types: dict[uuid.UUID, BlockType],
        *,
        include_secrets: bool,
    ) -> None:
        self._stored = stored
        self._data = data
        self._schemas = schemas
        self._types = types
        self._include_secrets = include_secrets

    def document(self, id: uuid.UUID) -> BlockDocument:
        """One document, whole."""
        stored = self._stored[id]
        values, referred = self._values(id, depth=0)
        schema = self._schemas[stored.block_schema_id]
        block_type = self._types[stored.block_type_id]
        return BlockDocument(
            id=stored.id,
            created=stored.created,
            updated=stored.updated,
            name=stored.name,
            data=values,
            block_schema_id=schema.id,
            block_schema=schema,
            block_type_id=block_type.id,
            block_type_name=block_type.name,
            block_type=block_type,
            block_document_references=referred,
            is_anonymous=stored.is_anonymous,
        )

    def _values(self, id: uuid.UUID, *, depth: int) -> tuple[Json, Json]:
        """The values, and what is known of the documents put in place of some."""
        values = dict(self._data[id])
        referred: Json = {}
        for key, target in references(values).items():
            # The document may have been deleted since.
            if target not in self._data or depth >= MAX_DEPTH:
                del values[key]
                continue
            values[key], deeper = self._values(target, depth=depth + 1)
            stored = self._stored[target]
            referred[key] = {
                "block_document": {
                    "id": target,
                    "name": stored.name,
                    "block_type": self._types[stored.block_type_id],
                    "is_anonymous": stored.is_anonymous,
                    "block_document_references": deeper,
                }
            }
        if not self._include_secrets:
            fields = self._schemas[self._stored[id].block_schema_id].fields
            values = masked(values, secret_fields(msgspec.json.decode(fields, type=Json)))
        return values, referred
