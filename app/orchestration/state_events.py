"""The event that tells of a flow run's new state."""

import datetime as dt

from app.wire.events import MAX_RELATED, ReceivedEvent, Resource, raw_json
from app.wire.facts import FlowRunFacts
from app.wire.runs import CreatedBy
from app.wire.states import State, StateType

# Consumers wait for the event that another follows, but no longer than this.
CAUSAL_WINDOW = dt.timedelta(minutes=5)
# Labels are for looking at and filtering; the whole message is in the payload.
MAX_MESSAGE = 100_000
# Those who make runs and are resources; a schedule is none.
_CREATORS = {"DEPLOYMENT": "deployment", "AUTOMATION": "automation"}


def flow_run_event(
    run: FlowRunFacts,
    initial: State | None,
    intended: StateType,
    state: State,
    *,
    now: dt.datetime,
) -> ReceivedEvent:
    """`prefect.flow-run.{name}`. Its id is the state's, so that it is told once."""
    follows = None
    if initial is not None and state.timestamp - initial.timestamp < CAUSAL_WINDOW:
        follows = initial.id
    return ReceivedEvent(
        id=state.id,
        occurred=state.timestamp,
        received=now,
        event=f"prefect.flow-run.{state.name}"[:1024],
        resource={
            "prefect.resource.id": f"prefect.flow-run.{run.id}",
            "prefect.resource.name": run.name,
            "prefect.run-count": str(run.run_count),
            "prefect.state-message": (state.message or "")[:MAX_MESSAGE],
            "prefect.state-name": state.name,
            "prefect.state-timestamp": state.timestamp.isoformat(),
            "prefect.state-type": state.type,
        },
        related=_related(run),
        payload=raw_json(
            {
                "intended": {
                    "from": initial.type if initial is not None else None,
                    "to": intended,
                },
                "initial_state": _summary(initial) if initial is not None else None,
                "validated_state": _summary(state),
            }
        ),
        follows=follows,
    )


def _related(run: FlowRunFacts) -> list[Resource]:
    related: list[Resource] = [
        {
            "prefect.resource.id": f"prefect.flow.{run.flow_id}",
            "prefect.resource.role": "flow",
            "prefect.resource.name": run.flow_name,
        }
    ]
    if run.deployment_id is not None and run.deployment_name is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.deployment.{run.deployment_id}",
                "prefect.resource.role": "deployment",
                "prefect.resource.name": run.deployment_name,
            }
        )
    if (queue := run.work_queue) is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.work-queue.{queue.id}",
                "prefect.resource.role": "work-queue",
                "prefect.resource.name": queue.name,
            }
        )
        related.append(
            {
                "prefect.resource.id": f"prefect.work-pool.{queue.work_pool_id}",
                "prefect.resource.role": "work-pool",
                "prefect.resource.name": queue.work_pool_name,
                "prefect.work-pool.type": queue.work_pool_type,
            }
        )
    if run.parent_task_run_id is not None:
        parent: Resource = {
            "prefect.resource.id": f"prefect.task-run.{run.parent_task_run_id}",
            "prefect.resource.role": "task-run",
        }
        if run.parent_task_run_name is not None:
            parent["prefect.resource.name"] = run.parent_task_run_name
        related.append(parent)
    if (creator := _creator(run.created_by)) is not None:
        related.append(creator)
    # An event has room for so many; who looks for more of the tags finds them on the run.
    tags = sorted({*run.tags, *run.tags_around})[: MAX_RELATED - len(related)]
    related.extend(
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
        for tag in tags
    )
    return related


def _creator(created_by: CreatedBy | None) -> Resource | None:
    kind = _CREATORS.get(created_by.type or "") if created_by is not None else None
    if created_by is None or kind is None:
        return None
    creator: Resource = {
        "prefect.resource.id": f"prefect.{kind}.{created_by.id}",
        "prefect.resource.role": "creator",
    }
    if created_by.display_value:
        creator["prefect.resource.name"] = created_by.display_value
    return creator


def _summary(state: State) -> dict[str, str]:
    summary: dict[str, str] = {"type": state.type, "name": state.name}
    if state.message is not None:
        summary["message"] = state.message
    if state.type == "PAUSED":
        summary["pause_reschedule"] = str(state.state_details.pause_reschedule).lower()
    return summary
