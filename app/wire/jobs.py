"""Background jobs on the wire: Tailrace's own, nothing of the reference's."""

import datetime as dt
import uuid
from typing import Literal, TypeAlias

import msgspec

Outcome: TypeAlias = Literal["running", "done", "failed", "lost"]
WishState: TypeAlias = Literal["waiting", "running", "done", "failed", "lost"]
Report: TypeAlias = dict[str, int | float | str | bool | None]


class JobPass(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded pass of a job. `lost` means that its process died before it could say more. Passes
    that find nothing to do leave no record."""

    id: uuid.UUID
    name: str
    holder: str
    started: dt.datetime
    finished: dt.datetime | None
    seconds: float | None
    outcome: Outcome
    report: Report | None
    error: str | None


class PassSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long a pass took and how it ended."""

    started: dt.datetime
    seconds: float | None
    outcome: Outcome


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job: what it does, how often, when its passes begin as of a few seconds ago, and which process
    runs them. `recent` are its newest recorded passes, at most 30, oldest first; `last` is the newest."""

    name: str
    description: str
    every_seconds: float
    has_dry_run: bool
    last_pass: dt.datetime | None
    next_pass: dt.datetime | None
    holder: str | None
    last: JobPass | None
    recent: list[PassSummary]


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs by name; `running` says whether some process runs them."""

    running: bool
    jobs: list[JobStatus]


class JobWishCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/jobs/{name}/run`: run one pass now, or say what one would do."""

    dry_run: bool = False


class JobWish(msgspec.Struct, frozen=True, kw_only=True):
    """A pass that somebody wished for, and what came of it: the `report` of a pass, or the `lines` that
    a dry run says. It is done once; `lost` means that its process died meanwhile."""

    id: uuid.UUID
    name: str
    dry_run: bool
    state: WishState
    asked: dt.datetime
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    holder: str | None = None
    report: Report | None = None
    lines: list[str] | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("done", "failed", "lost")
