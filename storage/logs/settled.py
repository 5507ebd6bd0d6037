"""Up to which id every batch is decided.

A flush takes its batch's id from a sequence inside of its transaction, and PostgreSQL holds a lock on
the sequence for it until that transaction ends. So: read the newest id, then see whose locks there are.
When those transactions have ended, every batch up to that id is committed, or will never be.
"""

import asyncio
from dataclasses import dataclass

from storage.errors import Unavailable
from storage.logs.seen import Seen
from storage.postgres.pool import Conn, Pool, connection
from storage.postgres.statements import statement

_NEWEST_ID = statement("newest_batch_and_time")
_FLUSHES_UNDER_WAY = statement("flushes_under_way")
_SAY_SETTLED = statement("say_settled")

# A commit takes milliseconds.
LOOK_AGAIN_SECONDS = 0.005
# Longer than any flush of ours: its statement is given up after 30 s.
GIVE_UP_SECONDS = 40.0


async def settled(pool: Pool) -> Seen:
    """Every batch that had its id when this was asked; it is decided for each by the time of the answer.

    Raises:
        Unavailable: PostgreSQL does not answer, or a flush does not end.
    """
    async with connection(pool) as conn:
        row = await conn.fetchrow(_NEWEST_ID)
        flushes = await _flushes(conn)
    seen = Seen(row["newest"], row["at"]) if row else Seen(0, 0)
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while flushes:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                async with connection(pool) as conn:
                    flushes &= await _flushes(conn)
    except TimeoutError:
        raise Unavailable("postgres", "a flush of log lines does not end") from None
    return seen


async def _flushes(conn: Conn) -> set[str]:
    return {row["virtualtransaction"] for row in await conn.fetch(_FLUSHES_UNDER_WAY)}


@dataclass(frozen=True, slots=True)
class Mark:
    """A notification that comes after those of all batches of `seen`."""

    text: str
    seen: Seen


async def send_mark(pool: Pool, mark: Mark) -> None:
    """Notify `log_batch` with the mark's text. Notifications come in the order of commits."""
    async with connection(pool) as conn:
        await conn.execute(_SAY_SETTLED, mark.text)
