"""How much of what may hold lines a scan has looked at."""

from dataclasses import dataclass

from storage.logs.planner import Source
from storage.logs.source_rows import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How much was looked at, or is to be: lines, objects, and their bytes. What an index or a bound ruled
    out counts as looked at."""

    rows: int = 0
    objects: int = 0
    bytes: int = 0

    def __add__(self, other: "Looked") -> "Looked":
        return Looked(
            rows=self.rows + other.rows,
            objects=self.objects + other.objects,
            bytes=self.bytes + other.bytes,
        )


class Progress:
    """Counts what a scan looked at, by source."""

    def __init__(self) -> None:
        self.all = Looked()
        self.read = Looked()
        # Rows and bytes that are left of each segment.
        self._left: dict[int, tuple[int, int]] = {}

    def add(self, source: Source) -> None:
        """A source that may hold lines."""
        self.all += Looked(
            rows=source.rows, objects=source.key is not None, bytes=source.object_bytes or 0
        )
        if source.key is not None:
            self._left[source.id] = (source.rows, source.object_bytes or 0)

    def looked_at(self, source: Source, block: Block) -> None:
        """A block of a source was read, or ruled out."""
        if source.key is None:
            self.read += Looked(rows=block.rows)
            return
        rows, size = self._left[source.id]
        ends = rows == block.rows
        # The footer and the index count with the last row group.
        read = size if ends else min(size, block.stored_bytes)
        self._left[source.id] = (rows - block.rows, size - read)
        self.read += Looked(rows=block.rows, objects=ends, bytes=read)
