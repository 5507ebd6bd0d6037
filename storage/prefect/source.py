"""A Prefect 3 server's database, as an import reads it: PostgreSQL or SQLite.

Lines come in the order of (updated, id). The server sets `updated` when it stores a line, by its own clock,
and never changes it, so lines that are stored later come later, whatever their clients' clocks say. What
was stored within the last moments may still be overtaken, so lines are read up to a `horizon` only, which
is there when they have settled.

Rows of other tables come as pages of objects with our column names, in the order of their ids.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from storage.errors import StorageError
from storage.logs.lines import LINES
from storage.postgres.imports import Kind, Position

# Lines in a page, and decoded bytes of their messages: a page may hold one line that is larger.
PAGE_ROWS = 32_768
PAGE_BYTES = 8 * 1024**2
# Rows of other tables in a page; their parameters may have half a megabyte each.
TABLE_PAGE_ROWS = 200
RUN_PAGE_ROWS = 5_000
# Everything, as a bound of `Source.count_lines`.
END_OF_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)
# What is not finished there may still go on there, and must not begin here as well.
FINISHED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

# What a page's columns are: those of a line but for `seq`, which lines get here.
SOURCE_LINES = LINES.remove(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePage:
    """Some lines, `SOURCE_LINES`, and where the last one stands."""

    lines: pa.Table
    end: Position


class NotPrefect(StorageError):
    """The database is none of a Prefect 3 server; the message says what is missing."""


class Source(Protocol):
    """Everything that an import asks of a source. It never writes."""

    @property
    def id(self) -> uuid.UUID:
        """What tells the source from others, wherever it lies."""
        ...

    async def horizon(self, waits: Callable[[float], None]) -> dt.datetime:
        """Up to when, exclusive, all lines are there: about now. When some were stored a moment ago it takes
        its time until no other can come before them; `waits` is called with the seconds first.

        Raises:
            Unavailable: a transaction of the source does not end.
        """
        ...

    async def count_lines(self, after: Position, before: dt.datetime) -> int:
        """How many lines there are to take."""
        ...

    async def lines(self, after: Position, before: dt.datetime) -> LinePage | None:
        """The next page; None when there is no line."""
        ...

    def run_counts(self, up_to: Position) -> AsyncIterator[list[tuple[uuid.UUID, int]]]:
        """How many lines each run has up to a position, by run id, the nil UUID first."""
        ...

    def rows(self, kind: Kind) -> AsyncIterator[list[object]]:
        """The rows of a table."""
        ...

    async def count_unfinished(self) -> int:
        """Flow runs that have not ended, which `rows` leaves out."""
        ...
