"""A publishing pass in a process of its own, seen from outside; see `storage.archive.process`."""

import asyncio
import contextlib
import sys

import msgspec

from storage.archive.place import Archive
from storage.errors import Unavailable


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass did, or why it could not."""

    report: dict[str, int] | None = None
    error: str | None = None


async def publish_in_process(archive: Archive) -> dict[str, int]:
    """Run one pass and wait for its end; when cancelled, the process is killed first.

    Raises:
        Unavailable: the pass failed: PostgreSQL, S3 or the catalog does not answer, or another process
            changed a table meanwhile. What it did is complete, the next pass does the rest.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "storage.archive.process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # It may have died already; then there is no answer.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(archive) + b"\n")
            await process.stdin.drain()
        body = await process.stdout.read()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not body:
        raise Unavailable("archive", f"the publishing process ended with {code} and no answer")
    answer = msgspec.json.decode(body, type=Answer)
    if answer.report is None:
        raise Unavailable("archive", answer.error or "no report")
    return answer.report
