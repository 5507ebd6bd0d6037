"""The block document that runs keep their results in unless they say otherwise."""

import uuid

from storage.errors import Conflict, NotFound
from storage.postgres.pool import Conn, driver_errors
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
    """
    try:
        with driver_errors():
            await conn.execute(_SET, block_document_id)
    except Conflict as error:
        raise NotFound(f"Block document {block_document_id} not found.") from error


async def clear_default_result_storage(conn: Conn) -> None:
    """Have no default."""
    await conn.execute(_CLEAR)
