"""The server's facts about itself on the wire."""

import uuid

import msgspec


class DefaultResultStorage(msgspec.Struct, frozen=True, kw_only=True):
    """The block document that runs keep their results in, if one is set."""

    default_result_storage_block_id: uuid.UUID | None = None


class DefaultResultStorageUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `PUT /admin/storage`."""

    default_result_storage_block_id: uuid.UUID
