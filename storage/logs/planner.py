"""Which parts of which sources a page needs. Pure: no I/O, no clock.

A source is a run of ordered lines: what one flow run has in one batch or segment, or a whole batch
or segment when the question spans runs. Sources whose time ranges overlap form a group; groups
follow one another in time, so a page is found by walking the groups in order.

When every line of every source matches (`exact`), the manifest's counts say how many lines a group
has: groups before the offset are skipped without reading them, and of a group at most the first
`offset + limit` lines of each source are read. Otherwise each group is read and filtered until the
page is full.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where ordered lines lie. `id` is a batch's when `key` is None, else a segment's, whose
    object is `key` of `object_bytes` bytes; its lines are rows [first_row, first_row + rows).
    `flow_run_id` and the levels are None for a whole batch or segment."""

    id: int
    key: str | None
    object_bytes: int | None
    footer_crc32: int | None
    flow_run_id: uuid.UUID | None
    first_row: int
    rows: int
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    min_level: int | None
    max_level: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Inclusive bounds on times and levels of the lines that are asked for; None is no bound."""

    after: dt.datetime | None = None
    before: dt.datetime | None = None
    least_level: int | None = None
    greatest_level: int | None = None

    def hold_times_of(self, source: Source) -> bool:
        """Whether every line of the source lies within the bounds on time."""
        return (self.after is None or self.after <= source.min_timestamp) and (
            self.before is None or self.before >= source.max_timestamp
        )

    def hold_levels_of(self, source: Source) -> bool:
        """Whether every line of the source is known to lie within the bounds on level."""
        least, greatest = self.least_level, self.greatest_level
        return (least is None or (source.min_level is not None and least <= source.min_level)) and (
            greatest is None or (source.max_level is not None and greatest >= source.max_level)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Sources that overlap in time, and how many lines they have together."""

    sources: tuple[Source, ...]

    @property
    def rows(self) -> int:
        """Lines in the group, before any filter."""
        return sum(source.rows for source in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Read at most the first `take` lines of each source of the group, in the wanted order, merge
    them, and of the merged lines give [skip, skip + give)."""

    group: Group
    take: int
    skip: int
    give: int


def group_by_time(sources: list[Source], *, descending: bool) -> list[Group]:
    """Groups in the wanted order. Sources that share even one instant are in the same group."""
    groups: list[list[Source]] = []
    end = None
    for source in sorted(sources, key=lambda source: (source.min_timestamp, source.id)):
        if end is None or source.min_timestamp > end:
            groups.append([])
            end = source.max_timestamp
        groups[-1].append(source)
        end = max(end, source.max_timestamp)
    ordered = [Group(sources=tuple(group)) for group in groups]
    return ordered[::-1] if descending else ordered


def plan_page(groups: list[Group], *, offset: int, limit: int) -> list[Step]:
    """The steps that give lines [offset, offset + limit) when every line matches."""
    steps = []
    for group in groups:
        if limit == 0:
            break
        if offset >= group.rows:
            offset -= group.rows
            continue
        give = min(limit, group.rows - offset)
        steps.append(Step(group=group, take=offset + give, skip=offset, give=give))
        limit -= give
        offset = 0
    return steps
