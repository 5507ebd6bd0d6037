"""What was found when the manifest and the bucket were compared: the newest results."""

import datetime as dt

import msgspec

from app.wire.archive import ArchiveVerification, VerificationProblem
from app.wire.base import new_id
from storage.logs.verify import Verification
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_KEEP_VERIFICATION = statement("keep_verification")
_LAST_VERIFICATION = statement("last_verification")

KEPT = 30
# Of one result; how many there are in all is told besides.
MAX_PROBLEMS = 1000


async def keep_verification(
    conn: Conn, found: Verification, *, started: dt.datetime, finished: dt.datetime
) -> None:
    """Keep a result, with the first of its problems."""
    problems = [
        VerificationProblem(
            key=problem.key,
            fault=problem.fault,
            detail=problem.detail,
            rows=problem.segment.rows if problem.segment else None,
            runs=problem.segment.runs if problem.segment else None,
        )
        for problem in found.problems[:MAX_PROBLEMS]
    ]
    await conn.execute(
        _KEEP_VERIFICATION,
        new_id(),
        started,
        finished,
        found.segments,
        found.rows,
        found.bytes,
        len(found.problems),
        msgspec.to_builtins(problems),
        KEPT,
    )


async def last_verification(conn: Conn) -> ArchiveVerification | None:
    """The newest result."""
    row = await conn.fetchrow(_LAST_VERIFICATION)
    return None if row is None else msgspec.convert(dict(row), ArchiveVerification)
