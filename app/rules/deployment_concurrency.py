"""How many runs of a deployment run at once.

A run *holds* a slot of its deployment's limit from its claim (PENDING) until it leaves PENDING,
RUNNING and CANCELLING, and while it waits in its process to be retried. The slot is a lease, and
the run's state names it. Whoever took the slot gives it back by ending that lease, so that it comes
back once: if the lease ran out before, because nobody renewed it, it has come back already.
"""

import datetime as dt
import uuid
from dataclasses import replace

import msgspec

from app.rules.client_version import renews_leases, takes_slots_itself
from app.rules.concurrency import Acquired, acquire
from app.rules.transitions import (
    Draft,
    Reject,
    ReleaseDeploymentSlot,
    RenewDeploymentSlot,
    Rule,
    StateTypes,
    TakeDeploymentSlot,
    all_but,
    types,
)
from app.wire.concurrency import ConcurrencyLimit, Lease, LeaseHolder
from app.wire.deployments import CollisionStrategy
from app.wire.facts import DeploymentFacts, FlowRunFacts
from app.wire.states import State, StateDetails

FlowDraft = Draft[FlowRunFacts]
FlowRule = Rule[FlowRunFacts]

HOLDING: StateTypes = types("PENDING", "RUNNING", "CANCELLING")
# How long a slot waits for a run whose infrastructure is being made, unless the deployment says.
DEFAULT_GRACE_PERIOD = dt.timedelta(seconds=300)
# A run that found no slot asks again after this.
SLOT_WAIT = dt.timedelta(seconds=30)
# The lease of a client that renews none ends with the run.
LASTING = dt.timedelta(days=36_500)

_FULL = "Deployment concurrency limit reached."


def lease_of(state: State | None) -> uuid.UUID | None:
    """The lease that the state names."""
    return state.state_details.deployment_concurrency_lease_id if state is not None else None


def _with_lease(draft: FlowDraft, lease_id: uuid.UUID) -> FlowDraft:
    assert draft.proposed is not None
    details = msgspec.structs.replace(
        draft.proposed.state_details, deployment_concurrency_lease_id=lease_id
    )
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, state_details=details))


def _keep_lease(draft: FlowDraft) -> FlowDraft:
    initial, proposed = draft.initial, draft.proposed
    lease_id = lease_of(initial)
    if initial is None or proposed is None or lease_id is None:
        return draft
    # While it holds a slot a run cannot name another lease, or nobody would end its own.
    holds_on = initial.type in HOLDING and proposed.type in HOLDING
    if lease_of(proposed) is not None and not holds_on:
        return draft
    return _with_lease(draft, lease_id)


def _grace_period(deployment: DeploymentFacts) -> dt.timedelta:
    options = deployment.options
    if options is None or options.grace_period_seconds is None:
        return DEFAULT_GRACE_PERIOD
    return dt.timedelta(seconds=options.grace_period_seconds)


def _collision_strategy(deployment: DeploymentFacts) -> CollisionStrategy:
    return deployment.options.collision_strategy if deployment.options is not None else "ENQUEUE"


def _with_slot_taken(limit: ConcurrencyLimit, now: dt.datetime) -> ConcurrencyLimit | None:
    """The limit with one slot more in use; None when there is none. Nobody gets one of a limit
    that is switched off."""
    if not limit.active or limit.limit < 1:
        return None
    outcome = acquire([limit], 1, now)
    return outcome.limits[0] if isinstance(outcome, Acquired) else None


def _cancelled(draft: FlowDraft, message: str) -> State:
    return State(
        id=draft.fresh_id, type="CANCELLED", name="Cancelled", timestamp=draft.now, message=message
    )


def _find_slot(draft: FlowDraft) -> FlowDraft:
    if draft.facts.deployment_id is None or takes_slots_itself(draft.facts.client):
        return draft
    deployment = draft.facts.deployment
    if deployment is None:
        return draft.abort("Deployment not found.")
    limit = deployment.limit
    if limit is None:
        return draft
    if limit.limit == 0:
        return draft.abort(
            "The deployment concurrency limit is 0. The flow will deadlock if submitted again."
        )
    if _with_slot_taken(limit, draft.now) is not None:
        return _with_lease(draft, draft.fresh_id)
    if _collision_strategy(deployment) == "CANCEL_NEW":
        return draft.reject(_cancelled(draft, _FULL), _FULL)
    waiting = State(
        id=draft.fresh_id,
        type="SCHEDULED",
        name="AwaitingConcurrencySlot",
        timestamp=draft.now,
        state_details=StateDetails(scheduled_time=draft.now + SLOT_WAIT),
    )
    return draft.reject(waiting, _FULL)


def _take_slot(draft: FlowDraft) -> FlowDraft:
    return _with_take(draft, holder=None)


def _with_take(draft: FlowDraft, *, holder: LeaseHolder | None) -> FlowDraft:
    """With what takes the slot that the rule found, if it found one and gave it a lease."""
    deployment = draft.facts.deployment
    if deployment is None or deployment.limit is None or lease_of(draft.proposed) != draft.fresh_id:
        return draft
    limit = _with_slot_taken(deployment.limit, draft.now)
    assert limit is not None, "the rule found a slot"
    lease = Lease(
        id=draft.fresh_id,
        created=draft.now,
        expires=draft.now + _grace_period(deployment),
        limit_ids=[limit.id],
        slots=1,
        holder=holder,
    )
    return draft.with_effect(TakeDeploymentSlot(limit, lease))


def _keep_slot(draft: FlowDraft) -> FlowDraft:
    deployment, lease_id = draft.facts.deployment, lease_of(draft.initial)
    if deployment is None or deployment.limit_id is None or lease_id is None:
        return draft
    if not renews_leases(draft.facts.client):
        return draft
    if deployment.lease_held:
        return draft.with_effect(
            RenewDeploymentSlot(lease_id, draft.now + _grace_period(deployment))
        )
    limit = deployment.limit
    if limit is None:
        return draft
    if _with_slot_taken(limit, draft.now) is not None:
        return _with_lease(draft, draft.fresh_id)
    return draft.reject(
        _cancelled(
            draft,
            "Deployment concurrency slot lost during provisioning - no slots available to continue"
            " execution",
        ),
        "Deployment concurrency limit reached after lease expiry.",
    )


def _retake_slot(draft: FlowDraft) -> FlowDraft:
    return _with_take(draft, holder=LeaseHolder(type="flow_run", id=draft.facts.id))


def _let_lease_last(draft: FlowDraft) -> FlowDraft:
    lease_id = lease_of(draft.initial)
    if lease_id is None or draft.facts.deployment_id is None or renews_leases(draft.facts.client):
        return draft
    return draft.with_effect(RenewDeploymentSlot(lease_id, draft.now + LASTING))


def _cancel_instead_of_late(draft: FlowDraft) -> FlowDraft:
    deployment = draft.facts.deployment
    if draft.proposed is None or draft.proposed.name != "Late" or deployment is None:
        return draft
    limit = deployment.limit
    if limit is None or _collision_strategy(deployment) != "CANCEL_NEW":
        return draft
    if limit.active_slots < limit.limit:
        return draft
    return draft.reject(
        _cancelled(draft, _FULL),
        "Deployment concurrency limit is full and uses the CANCEL_NEW strategy.",
    )


def _release_slot(draft: FlowDraft) -> FlowDraft:
    initial, written = draft.initial, draft.proposed
    lease_id = lease_of(initial)
    if initial is None or written is None or lease_id is None:
        return draft
    if draft.facts.deployment_id is None:
        return draft
    if _waits_in_its_process(draft, written):
        return draft
    if written.type in HOLDING and lease_of(written) == lease_id:
        return draft
    if initial.type in HOLDING or (initial.type == "SCHEDULED" and written.type != "SCHEDULED"):
        return draft.with_effect(ReleaseDeploymentSlot(lease_id))
    return draft


def _waits_in_its_process(draft: FlowDraft, written: State) -> bool:
    """Its client goes on renewing the lease until the retry. A run that was *proposed* to await its
    retry has left its process."""
    return (
        written.type == "SCHEDULED"
        and written.name == "AwaitingRetry"
        and isinstance(draft.verdict, Reject)
    )


keep_lease = FlowRule(name="keep the deployment's lease", before=_keep_lease, always=True)
keep_held_lease = FlowRule(
    name="keep the lease on a slot that stays held",
    leaving=HOLDING | types("SCHEDULED"),
    entering=HOLDING,
    before=_keep_lease,
)
keep_slot = FlowRule(
    name="a claimed run still has its slot",
    leaving=types("PENDING"),
    entering=types("RUNNING"),
    before=_keep_slot,
    after=_retake_slot,
)
take_slot = FlowRule(
    name="a claim takes a slot of the deployment's limit",
    leaving=all_but("PENDING", "RUNNING", "CANCELLING"),
    entering=types("PENDING"),
    before=_find_slot,
    after=_take_slot,
)
let_lease_last = FlowRule(
    name="clients that renew no leases keep their slot",
    leaving=types("PENDING"),
    entering=types("RUNNING", "CANCELLING"),
    after=_let_lease_last,
)
cancel_instead_of_late = FlowRule(
    name="what would only wait is cancelled",
    leaving=types("SCHEDULED"),
    entering=types("SCHEDULED"),
    before=_cancel_instead_of_late,
)
release_slot = FlowRule(name="release the deployment's slot", after=_release_slot, always=True)
