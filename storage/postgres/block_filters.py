"""The filters of blocks as SQL. In the text, `b` is a block type, `s` a schema, `d` a document."""

import uuid

from app.wire.blocks import (
    BlockDocumentFilter,
    BlockDocumentQuery,
    BlockDocumentSelection,
    BlockSchemaFilter,
    BlockSchemaQuery,
    BlockTypeFilter,
    BlockTypeQuery,
    DocumentSort,
)
from storage.postgres.filters import TRUE, Query, any_of, exists, join, name_like
from storage.postgres.statements import statement

DOCUMENT_ORDER: dict[DocumentSort, str] = {
    "NAME_DESC": "d.name DESC, d.id DESC",
    "NAME_ASC": "d.name ASC, d.id",
    "BLOCK_TYPE_AND_NAME_ASC": "b.name ASC, d.name ASC, d.id",
}

_SELECT_TYPES = statement("select_block_types")
_SELECT_SCHEMAS = statement("select_block_schemas")
_SELECT_DOCUMENTS = statement("select_block_documents")
_COUNT_DOCUMENTS = statement("count_block_documents")


def select_types(on: BlockTypeQuery) -> tuple[str, list[object]]:
    """One page of block types."""
    query = Query()
    parts = [_type(query, on.block_types)]
    if on.block_schemas is not None:
        schema = _schema(query, on.block_schemas)
        parts.append(exists("block_schema s", "s.block_type_id = b.id", schema))
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    where = join(parts, "and_")
    return f"{_SELECT_TYPES} WHERE {where} ORDER BY b.name, b.id {tail}", query.values


def select_schemas(
    on: BlockSchemaQuery, *, checksum: str | None = None, version: str | None = None
) -> tuple[str, list[object]]:
    """One page of block schemas, newest first; of one checksum and version, if given."""
    query = Query()
    parts = [_schema(query, on.block_schemas)]
    if checksum is not None:
        parts.append(f"s.checksum = {query.bind(checksum)}")
    if version is not None:
        parts.append(f"s.version = {query.bind(version)}")
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    where = join(parts, "and_")
    return (
        f"{_SELECT_SCHEMAS} WHERE {where} ORDER BY s.created DESC, s.id DESC {tail}",
        query.values,
    )


def select_documents(on: BlockDocumentQuery) -> tuple[str, list[object]]:
    """One page of block documents."""
    query = Query()
    where = _documents_where(query, on)
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    order = DOCUMENT_ORDER[on.sort or "NAME_ASC"]
    return f"{_SELECT_DOCUMENTS} WHERE {where} ORDER BY {order} {tail}", query.values


def select_documents_of_ids(ids: list[uuid.UUID]) -> tuple[str, list[object]]:
    """These block documents."""
    query = Query()
    return f"{_SELECT_DOCUMENTS} WHERE d.id = ANY ({query.bind(ids)})", query.values


def select_document_of_name(slug: str, name: str) -> tuple[str, list[object]]:
    """The block document of that name and type."""
    query = Query()
    where = f"b.slug = {query.bind(slug)} AND d.name = {query.bind(name)}"
    return f"{_SELECT_DOCUMENTS} WHERE {where}", query.values


def count_documents(on: BlockDocumentSelection) -> tuple[str, list[object]]:
    """How many block documents."""
    query = Query()
    return f"{_COUNT_DOCUMENTS} WHERE {_documents_where(query, on)}", query.values


def _documents_where(query: Query, on: BlockDocumentSelection) -> str:
    parts = [
        _document(query, on.block_documents),
        _type(query, on.block_types),
        _schema(query, on.block_schemas),
    ]
    return join(parts, "and_")


def _type(query: Query, on: BlockTypeFilter | None) -> str:
    if on is None:
        return TRUE
    parts: list[str] = []
    if on.name is not None and on.name.like_ is not None:
        parts.append(f"b.name ILIKE {query.bind(f'%{on.name.like_}%')}")
    if on.slug is not None:
        parts.append(any_of(query, "b.slug", on.slug))
    return join(parts, "and_")


def _schema(query: Query, on: BlockSchemaFilter | None) -> str:
    if on is None:
        return TRUE
    parts: list[str] = []
    if on.block_type_id is not None:
        parts.append(any_of(query, "s.block_type_id", on.block_type_id))
    if on.block_capabilities is not None and on.block_capabilities.all_ is not None:
        parts.append(f"s.capabilities @> {query.bind(on.block_capabilities.all_)}")
    if on.id is not None:
        parts.append(any_of(query, "s.id", on.id))
    if on.version is not None:
        parts.append(any_of(query, "s.version", on.version))
    return join(parts, on.operator)


def _document(query: Query, on: BlockDocumentFilter | None) -> str:
    if on is None:
        return TRUE
    parts: list[str] = []
    if on.id is not None:
        parts.append(any_of(query, "d.id", on.id))
    if on.is_anonymous is not None and on.is_anonymous.eq_ is not None:
        parts.append(f"d.is_anonymous = {query.bind(on.is_anonymous.eq_)}")
    if on.block_type_id is not None:
        parts.append(any_of(query, "d.block_type_id", on.block_type_id))
    if on.name is not None:
        parts.append(name_like(query, "d.name", on.name))
    return join(parts, on.operator)
