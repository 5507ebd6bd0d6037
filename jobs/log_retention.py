"""Logs whose time is over go from every reader, and from S3 with compaction."""

from collections.abc import Sequence

from app.orchestration.log_retention import apply_retention, preview_retention, rules_in_force
from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report


async def expire_logs(services: Services) -> Report:
    """One pass over all runs that have reached the age of some rule."""
    gone = await apply_retention(services.pool, services.log_retention_days, now=utc_now())
    if not gone:
        return {}
    return {
        "runs": sum(each.runs for each in gone),
        "rows": sum(each.rows for each in gone),
        "bytes": sum(each.bytes for each in gone),
        "runs_below_level": sum(each.runs_below_level for each in gone),
    }


async def preview_expiring_logs(services: Services) -> Sequence[str]:
    """What a pass would do now, by rule."""
    rules = await rules_in_force(services.pool, services.log_retention_days)
    if not rules:
        return [
            "no rule is set (`tailrace retention set`, TAILRACE_LOG_RETENTION_DAYS): logs are kept"
        ]
    expiring = await preview_retention(services.pool, rules, now=utc_now())
    return [
        f"{each.rule}: {each.runs:,} runs would lose their logs ({each.rows:,} rows, about"
        f" {each.bytes:,} bytes), {each.runs_below_level:,} runs lines below a level"
        for each in expiring
    ] or ["nothing is old enough"]
