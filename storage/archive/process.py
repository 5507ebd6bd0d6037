"""A publishing pass in a process of its own: `python -m storage.archive.process`.

Iceberg's libraries block, and take memory that they do not give back; a process can be ended whatever it
waits for, and takes its memory along. It reads its archive as one line of JSON from stdin and ends when
stdin does, so it does not outlive whoever started it. It writes one JSON document to stdout.
"""

import asyncio
import datetime as dt
import logging
import os
import sys
import threading

import msgspec

from storage.archive.in_process import Answer
from storage.archive.place import Archive
from storage.archive.publish import publish_pass, report_values
from storage.postgres.pool import open_pool

# Everything else goes first.
NICENESS = 10


async def _pass(archive: Archive) -> dict[str, int]:
    pool = await open_pool(archive.database_url, max_size=1)
    try:
        return report_values(await publish_pass(pool, archive, dt.datetime.now(dt.UTC)))
    finally:
        await pool.close()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Run the pass that stdin asks for."""
    os.nice(NICENESS)
    # Warnings of libraries about single requests; what fails is told in the answer.
    logging.basicConfig(level=logging.CRITICAL)
    archive = msgspec.json.decode(sys.stdin.buffer.readline(), type=Archive)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        answer = Answer(report=asyncio.run(_pass(archive)))
    except Exception as error:
        answer = Answer(error=archive.failure(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    # Not by the usual way, which would wait for the thread that reads stdin.
    os._exit(0)


if __name__ == "__main__":
    main()
