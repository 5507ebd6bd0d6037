"""The block document that runs keep their results in unless they say otherwise."""

import uuid

from storage.errors import InvalidValue, NotFound
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_READ = statement("read_default_result_storage")
_SET = statement("set_default_result_storage")
_CLEAR = statement("clear_default_result_storage")


async def read_default_result_storage(conn: Conn) -> uuid.UUID | None:
    """The block document's id, if one is set."""
    found: uuid.UUID | None = await conn.fetchval(_READ)
    return found


async def set_default_result_storage(conn: Conn, block_document_id: uuid.UUID) -> None:
    """Make it the default.

    Raises:
        NotFound: there is no such block document.
        InvalidValue: it is one that nothing can be written to.
    """
    can_be_written = await conn.fetchval(_SET, block_document_id)
    if can_be_written is None:
        raise NotFound(f"Block document {block_document_id} not found.")
    if not can_be_written:
        raise InvalidValue(f"Block document {block_document_id} cannot be used for result storage.")


async def clear_default_result_storage(conn: Conn) -> None:
    """Have no default."""
    await conn.execute(_CLEAR)
