"""Block types, schemas and documents on the wire.

A schema's `fields` stay the text that came, since a checksum is computed over them.
"""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT, Json, Name
from app.wire.filters import (
    AnyId,
    AnyText,
    EqualsFilter,
    LikeFilter,
    NameFilter,
    NonNegative,
    Operator,
)

Slug = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[a-z0-9-]+$(?!\n)")]
DocumentName = Annotated[str, msgspec.Meta(min_length=1, pattern=r"^[a-z0-9-]+$(?!\n)")]
DocumentSort: TypeAlias = Literal["NAME_DESC", "NAME_ASC", "BLOCK_TYPE_AND_NAME_ASC"]

NON_VERSIONED = "non-versioned"


class BlockTypeCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /block_types/`."""

    name: Name
    slug: Slug
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None


class BlockTypeUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /block_types/{id}`; what is absent stays as it is."""

    logo_url: str | None | msgspec.UnsetType = msgspec.UNSET
    documentation_url: str | None | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    code_example: str | None | msgspec.UnsetType = msgspec.UNSET


class BlockType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of block. Protected ones belong to the server and cannot be deleted."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    slug: str
    logo_url: str | None
    documentation_url: str | None
    description: str | None
    code_example: str | None
    is_protected: bool


class BlockSchemaCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /block_schemas/`."""

    block_type_id: uuid.UUID
    fields: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    capabilities: list[str] = []
    version: str = NON_VERSIONED


class BlockSchema(msgspec.Struct, frozen=True, kw_only=True):
    """What a block of some type and version holds."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    checksum: str
    fields: msgspec.Raw
    block_type_id: uuid.UUID
    block_type: BlockType
    capabilities: list[str]
    version: str


class BlockDocumentCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /block_documents/`. Anonymous documents need no name."""

    block_schema_id: uuid.UUID
    block_type_id: uuid.UUID
    name: DocumentName | None = None
    data: Json = {}
    is_anonymous: bool = False

    def __post_init__(self) -> None:
        if self.name is None and not self.is_anonymous:
            raise ValueError("`name` is missing, and the block document is not anonymous")


class BlockDocumentUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /block_documents/{id}`. Values that are masked stay as they are."""

    block_schema_id: uuid.UUID | None = None
    data: Json = {}
    merge_existing_data: bool = True


class BlockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A block with its values. Documents it refers to are put in place of the references;
    `block_document_references` says which they are."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    data: Json
    block_schema_id: uuid.UUID
    block_schema: BlockSchema
    block_type_id: uuid.UUID
    block_type_name: str
    block_type: BlockType
    block_document_references: Json
    is_anonymous: bool


# Filters ------------------------------------------------------------------------------------------


class BlockTypeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which block types."""

    name: LikeFilter | None = None
    slug: AnyText | None = None


class AllTexts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of these."""

    all_: list[str] | None = None


class BlockSchemaFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which block schemas."""

    operator: Operator = "and_"
    block_type_id: AnyId | None = None
    block_capabilities: AllTexts | None = None
    id: AnyId | None = None
    version: AnyText | None = None


class BlockDocumentFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which block documents; anonymous ones only when asked for."""

    operator: Operator = "and_"
    id: AnyId | None = None
    is_anonymous: EqualsFilter | None = EqualsFilter(eq_=False)
    block_type_id: AnyId | None = None
    name: NameFilter | None = None


class BlockTypeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /block_types/filter`."""

    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT


class BlockSchemaQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /block_schemas/filter`."""

    block_schemas: BlockSchemaFilter | None = None
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT


class BlockDocumentSelection(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /block_documents/count`."""

    block_documents: BlockDocumentFilter | None = BlockDocumentFilter()
    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None


class BlockDocumentQuery(BlockDocumentSelection, frozen=True, kw_only=True):
    """The body of `POST /block_documents/filter`."""

    include_secrets: bool = False
    sort: DocumentSort | None = "NAME_ASC"
    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT
