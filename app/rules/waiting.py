"""Due times, for flow runs and task runs alike."""

from dataclasses import replace

import msgspec

from app.rules.transitions import Draft, F


def copy_scheduled_time(draft: Draft[F]) -> Draft[F]:
    """A claimed run still says when it was due."""
    if draft.initial is None or draft.proposed is None:
        return draft
    details = msgspec.structs.replace(
        draft.proposed.state_details,
        scheduled_time=draft.initial.state_details.scheduled_time,
    )
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, state_details=details))


def wait_for_scheduled_time(draft: Draft[F]) -> Draft[F]:
    """Too early by half a second or more is answered with the whole seconds to wait."""
    if draft.initial is None:
        return draft
    due = draft.initial.state_details.scheduled_time
    if due is None:
        return draft
    seconds = round((due - draft.now).total_seconds())
    if seconds <= 0:
        return draft
    return draft.wait(seconds, "Scheduled time is in the future")
