"""What a change of a deployment makes of its schedules.

Where every schedule, known and proposed, has a slug, slugs say which is which: a known slug is
changed, an unknown one is added, `replaces` names the one that gets a new slug, and what is not
named stays. Where a known schedule has none, the proposed ones take the place of all.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from app.orchestration.refusal import Refused
from app.wire.deployments import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from storage.postgres.deployment_schedules import (
    clear_slugs,
    delete_schedules,
    insert_schedules,
    update_schedule,
)
from storage.postgres.pool import Conn


async def patch_schedules(
    conn: Conn,
    deployment_id: uuid.UUID,
    known: Sequence[DeploymentSchedule],
    proposed: Sequence[DeploymentScheduleUpdate],
    *,
    now: dt.datetime,
) -> None:
    """Change the schedules of a locked deployment.

    Raises:
        Refused: it is not clear which schedule is meant, or a new one has no schedule.
        Conflict: two schedules have the same slug.
    """
    by_slug = {schedule.slug: schedule.id for schedule in known if schedule.slug is not None}
    if not known or len(by_slug) < len(known):
        creates = [_create(each) for each in proposed if isinstance(each.schedule, dict)]
        await delete_schedules(conn, deployment_id)
        await insert_schedules(conn, deployment_id, creates, now=now)
        return
    if not all(each.slug for each in proposed):
        raise Refused(
            "unprocessable",
            "Please provide a slug for each schedule in your request to ensure schedules are"
            " updated correctly.",
        )
    _check_replacements(proposed, by_slug)
    changes: list[tuple[uuid.UUID, DeploymentScheduleUpdate]] = []
    renamed: list[uuid.UUID] = []
    creates = []
    for each in proposed:
        target = by_slug.get(str(each.replaces or each.slug))
        if target is None:
            creates.append(_create(each))
        else:
            changes.append((target, each))
            if each.replaces:
                renamed.append(target)
    # First, so that schedules can take one another's slugs.
    await clear_slugs(conn, deployment_id, renamed)
    for id, each in changes:
        await update_schedule(conn, deployment_id, id, each, now=now)
    await insert_schedules(conn, deployment_id, creates, now=now)


def _check_replacements(
    proposed: Sequence[DeploymentScheduleUpdate], by_slug: dict[str, uuid.UUID]
) -> None:
    replaced: set[str] = set()
    for each in proposed:
        if not each.replaces:
            continue
        if each.replaces in replaced:
            raise Refused(
                "unprocessable",
                f"Multiple schedules have 'replaces' targeting the same slug: {each.replaces}",
            )
        replaced.add(each.replaces)
    for each in proposed:
        if each.replaces and each.slug in by_slug and each.slug not in replaced:
            raise Refused(
                "unprocessable",
                f"Cannot rename schedule from '{each.replaces}' to '{each.slug}': a schedule with"
                f" slug '{each.slug}' already exists.",
            )


def _create(update: DeploymentScheduleUpdate) -> DeploymentScheduleCreate:
    if not isinstance(update.schedule, dict):
        raise Refused(
            "unprocessable",
            "Unable to create new deployment schedules without a schedule configuration.",
        )
    return DeploymentScheduleCreate(
        schedule=update.schedule,
        active=update.active if isinstance(update.active, bool) else True,
        max_scheduled_runs=(
            update.max_scheduled_runs if isinstance(update.max_scheduled_runs, int) else None
        ),
        parameters=update.parameters if isinstance(update.parameters, dict) else {},
        slug=update.slug if isinstance(update.slug, str) else None,
    )
