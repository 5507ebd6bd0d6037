"""Which retention rule decides about a run, and what of its logs goes. Pure."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.wire.log_retention import RetentionRule


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedRun:
    """What is known of a run's logs in S3. `last` is the time of its last line, `least_level` the
    lowest level it still has; `active` when its state is not a final one. Names are None for a run
    that is not in the database. For the nil run, lines outside any run, they are None too."""

    id: uuid.UUID
    last: dt.datetime
    rows: int
    bytes: int
    least_level: int
    active: bool = False
    flow: str | None = None
    deployment: str | None = None
    tags: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What goes by the rule `rule`: everything, or lines below a level."""

    rule: str
    everything: bool = False
    below_level: int | None = None


def first_fitting(rules: Sequence[RetentionRule], run: AgedRun) -> RetentionRule | None:
    """The rule that decides about a run."""
    return next((rule for rule in rules if _fits(rule, run)), None)


def judge(rules: Sequence[RetentionRule], run: AgedRun, now: dt.datetime) -> Verdict | None:
    """What of a run's logs goes now; None when all stays."""
    rule = first_fitting(rules, run)
    if rule is None or run.active:
        return None
    age = now - run.last
    if rule.days is not None and age >= dt.timedelta(days=rule.days):
        return Verdict(rule=rule.name, everything=True)
    level = max(
        (limit.level for limit in rule.below if age >= dt.timedelta(days=limit.days)), default=None
    )
    if level is None or run.least_level >= level:
        return None
    return Verdict(rule=rule.name, below_level=level)


def first_removal(rules: Sequence[RetentionRule], now: dt.datetime) -> dt.datetime | None:
    """Runs whose last line is later than this have nothing to lose yet; None when no rule removes."""
    days = [rule.least_days for rule in rules if rule.least_days is not None]
    return now - dt.timedelta(days=min(days)) if days else None


def runless_before(rules: Sequence[RetentionRule], now: dt.datetime) -> dt.datetime | None:
    """Lines outside any run that are older than this go: by the first rule that chooses no runs."""
    rule = next((rule for rule in rules if rule.fits_every_run), None)
    return None if rule is None or rule.days is None else now - dt.timedelta(days=rule.days)


def _fits(rule: RetentionRule, run: AgedRun) -> bool:
    return (
        (not rule.flows or run.flow in rule.flows)
        and (
            not rule.deployments
            or run.deployment in rule.deployments
            or f"{run.flow}/{run.deployment}" in rule.deployments
        )
        and run.tags.issuperset(rule.tags)
    )
