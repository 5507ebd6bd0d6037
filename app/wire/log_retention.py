"""How long logs are kept: Tailrace's own part of the API (`/api/tailrace`)."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Level = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]


class LevelLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines below `level` (Python's logging levels) are kept for `days` days only."""

    level: Level
    days: Days


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the logs of some runs are kept, counted from a run's last line.

    It fits a run of one of `flows` (names), of one of `deployments` (`name` or `flow/name`), with all of
    `tags`; an empty list fits every run. `days` None keeps the lines for good.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    days: Days | None = None
    below: list[LevelLimit] = []
    flows: list[str] = []
    deployments: list[str] = []
    tags: list[str] = []

    def __post_init__(self) -> None:
        """Levels must ascend, and a lower one must not be kept longer."""
        levels = [limit.level for limit in self.below]
        days = [limit.days for limit in self.below]
        if levels != sorted(set(levels)) or days != sorted(days):
            raise ValueError("below: levels must ascend, and days with them")
        if days and self.days is not None and days[-1] >= self.days:
            raise ValueError(f"below: days must be less than the rule's {self.days}")

    @property
    def least_days(self) -> int | None:
        """The age at which the rule first removes something; None when it never does."""
        return self.below[0].days if self.below else self.days

    @property
    def fits_every_run(self) -> bool:
        """Whether it chooses no runs."""
        return not (self.flows or self.deployments or self.tags)


class RetentionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules in order: the first that fits a run decides, and a run that none fits is kept."""

    rules: Annotated[list[RetentionRule], msgspec.Meta(max_length=1000)]

    def __post_init__(self) -> None:
        """Reports tell rules by their names."""
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("rules: two rules have the same name")


class Expiring(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule removes now: whole runs, with their rows and (about) their bytes in S3, and runs of
    which lines below a level go."""

    rule: str
    runs: int
    rows: int
    bytes: int
    runs_below_level: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A run that nothing may delete."""

    flow_run_id: uuid.UUID
    reason: str
    created: dt.datetime


class HoldCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /tailrace/holds/{flow_run_id}`."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
