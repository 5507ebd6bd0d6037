"""What may happen to a task run whose states are proposed to the server.

CORE is for proposals, BACKGROUND for those of deferred runs, MINIMAL for forced ones and for the
first state of a run. The SDK of today judges its task runs itself and sends their states as events.
"""

import datetime as dt
import math
from dataclasses import replace

import msgspec

from app.rules.concurrency import TAG_PREFIX, Acquired, acquire, jittered
from app.rules.transforms import TASK_TRANSFORMS
from app.rules.transitions import (
    CacheState,
    CountDenial,
    Draft,
    ReleaseTagSlots,
    Rule,
    TakeTagSlots,
    all_but,
    types,
)
from app.rules.waiting import copy_scheduled_time, wait_for_scheduled_time
from app.wire.concurrency import ConcurrencyLimit
from app.wire.facts import TaskRunFacts
from app.wire.states import TERMINAL, State, StateDetails, has_persisted_result

TaskDraft = Draft[TaskRunFacts]
TaskRule = Rule[TaskRunFacts]

MAX_CACHE_KEY = 2000


def _renamed(draft: TaskDraft, name: str) -> TaskDraft:
    if draft.proposed is None:
        return draft
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, name=name))


def _take_from_cache(draft: TaskDraft) -> TaskDraft:
    cached = draft.facts.cached
    if cached is None or draft.proposed is None:
        return draft
    details = draft.proposed.state_details
    if details.cache_key is None or details.refresh_cache:
        return draft
    copy = msgspec.structs.replace(cached, id=draft.fresh_id, timestamp=draft.now, name="Cached")
    return draft.reject(copy, "Retrieved state from cache")


def _leave_terminal(draft: TaskDraft) -> TaskDraft:
    initial, proposed = draft.initial, draft.proposed
    if initial is None or proposed is None:
        return draft
    if proposed.type in ("CANCELLING", "PAUSED", "CRASHED"):
        return draft.abort(f"Run is already {initial.type}.")
    if initial.type == "COMPLETED" and has_persisted_result(initial):
        return draft.reject(None, "This run is already completed.")
    if proposed.type in TERMINAL:
        return draft
    draft = replace(draft, run=replace(draft.run, run_count=0))
    enclosing = draft.facts.enclosing
    if (
        proposed.type == "RUNNING"
        and enclosing is not None
        and draft.facts.flow_run_run_count < enclosing.run_count
    ):
        return _renamed(draft, "Retrying")
    return draft


def _restore_count(draft: TaskDraft) -> TaskDraft:
    return replace(draft, run=replace(draft.run, run_count=draft.facts.run_count))


def _only_in_running_flows(draft: TaskDraft) -> TaskDraft:
    enclosing = draft.facts.enclosing
    if enclosing is None:
        return draft
    state = enclosing.state
    if state is not None and state.type == "RUNNING":
        return draft
    if state is None or state.type != "PAUSED":
        return draft.abort("The enclosing flow must be running to begin task execution.")
    not_ready = State(
        id=draft.fresh_id,
        type="PAUSED",
        name="NotReady",
        timestamp=draft.now,
        state_details=StateDetails(
            pause_timeout=state.state_details.pause_timeout,
            pause_reschedule=state.state_details.pause_reschedule,
        ),
    )
    return draft.reject(
        not_ready,
        f"The flow is paused, new tasks can execute after resuming flow run: {enclosing.id}.",
    )


def _find_slots(draft: TaskDraft) -> TaskDraft:
    limits = draft.facts.tag_limits
    for limit in limits:
        if limit.limit == 0:
            return draft.abort(
                f'The concurrency limit on tag "{_tag(limit)}" is 0 and will deadlock if the task'
                " tries to run again."
            )
    outcome = acquire(limits, 1, draft.now)
    if isinstance(outcome, Acquired):
        return draft
    seconds = max(round(jittered(outcome.retry_after, draft.jitter)), 1)
    full = next(limit for limit in outcome.limits if limit.active_slots >= limit.limit)
    return draft.with_effect(CountDenial(tuple(outcome.limits))).wait(
        seconds, f"Concurrency limit for the {_tag(full)} tag has been reached"
    )


def _take_slots(draft: TaskDraft) -> TaskDraft:
    outcome = acquire(draft.facts.tag_limits, 1, draft.now)
    if not outcome.limits:
        return draft
    return draft.with_effect(TakeTagSlots(tuple(outcome.limits)))


def _tag(limit: ConcurrencyLimit) -> str:
    return limit.name.removeprefix(TAG_PREFIX)


def clamped_interval(average: float, factor: float, jitter: float) -> float:
    """A waiting time in seconds, distributed like the gaps of a Poisson process with that average,
    kept within `factor` of it on either side. `jitter` in [0, 1) picks one."""
    if average <= 0 or factor <= 0:
        return max(average, 0.0)
    low = 1 - math.exp(-max(1 - factor, 0.0))
    high = 1 - math.exp(-(1 + factor))
    return -average * math.log(1 - (low + jitter * (high - low)))


def _retry(draft: TaskDraft) -> TaskDraft:
    proposed, policy = draft.proposed, draft.facts.policy
    if proposed is None or proposed.state_details.retriable is False:
        return draft
    if draft.facts.run_count > (policy.retries or 0):
        return draft
    delay = policy.retry_delay or 0
    if isinstance(delay, list):
        delay = delay[min(draft.facts.run_count, len(delay)) - 1] if delay else 0
    if policy.retry_jitter_factor:
        delay = clamped_interval(delay, policy.retry_jitter_factor, draft.jitter)
    waiting = State(
        id=draft.fresh_id,
        type="SCHEDULED",
        name="AwaitingRetry",
        timestamp=draft.now,
        message=proposed.message,
        data=proposed.data,
        state_details=StateDetails(scheduled_time=draft.now + dt.timedelta(seconds=delay)),
    )
    return draft.reject(waiting, "Retrying")


def _name_reruns(draft: TaskDraft) -> TaskDraft:
    if draft.run.run_count == 0 or draft.initial is None:
        return draft
    return _renamed(draft, "Retrying" if draft.initial.name == "AwaitingRetry" else "Rerunning")


def _follow_flow_run(draft: TaskDraft) -> TaskDraft:
    if draft.facts.enclosing is None:
        return draft
    return replace(
        draft, run=replace(draft.run, flow_run_run_count=draft.facts.enclosing.run_count)
    )


def _refuse_long_cache_key(draft: TaskDraft) -> TaskDraft:
    key = draft.proposed.state_details.cache_key if draft.proposed is not None else None
    if key is None or len(key) <= MAX_CACHE_KEY:
        return draft
    # The state holds all the same; the reason tells why nothing was cached.
    return draft.reject(
        draft.proposed,
        f"Cache key exceeded maximum allowed length of {MAX_CACHE_KEY} characters.",
    )


def _cache(draft: TaskDraft) -> TaskDraft:
    details = draft.proposed.state_details if draft.proposed is not None else StateDetails()
    if not details.cache_key or len(details.cache_key) > MAX_CACHE_KEY:
        return draft
    return draft.with_effect(CacheState(details.cache_key, details.cache_expiration))


def _release_slots(draft: TaskDraft) -> TaskDraft:
    if draft.proposed is None or draft.proposed.type in ("RUNNING", "CANCELLING"):
        return draft
    return draft.with_effect(ReleaseTagSlots())


def _no_second_pending(draft: TaskDraft) -> TaskDraft:
    assert draft.initial is not None
    return draft.abort(
        f"This run is in a {draft.initial.type} state and cannot transition to a PENDING state."
    )


def _keep_parameters(draft: TaskDraft) -> TaskDraft:
    if draft.initial is None or draft.proposed is None:
        return draft
    details = msgspec.structs.replace(
        draft.proposed.state_details,
        task_parameters_id=draft.initial.state_details.task_parameters_id,
    )
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, state_details=details))


take_from_cache = TaskRule(
    name="take the state from the cache", entering=types("RUNNING"), before=_take_from_cache
)
leave_terminal = TaskRule(
    name="leave a terminal state",
    leaving=types(*TERMINAL),
    before=_leave_terminal,
    cleanup=_restore_count,
)
only_in_running_flows = TaskRule(
    name="only in running flows", entering=types("RUNNING"), before=_only_in_running_flows
)
take_slots = TaskRule(
    name="take slots of the limits on its tags",
    entering=types("RUNNING"),
    before=_find_slots,
    after=_take_slots,
)
keep_scheduled_time: TaskRule = TaskRule(
    name="a claimed run keeps its scheduled time",
    leaving=types("SCHEDULED"),
    entering=types("PENDING"),
    before=copy_scheduled_time,
)
wait_until_due: TaskRule = TaskRule(
    name="wait until due",
    leaving=types("SCHEDULED", "PENDING"),
    entering=types("RUNNING"),
    before=wait_for_scheduled_time,
)
retry = TaskRule(
    name="retry a failed run",
    leaving=types("RUNNING"),
    entering=types("FAILED"),
    before=_retry,
)
name_reruns = TaskRule(name="name reruns", entering=types("RUNNING"), before=_name_reruns)
follow_flow_run = TaskRule(
    name="belong to this run of the flow", entering=types("RUNNING"), after=_follow_flow_run
)
cache = TaskRule(
    name="cache the state",
    entering=types("COMPLETED"),
    before=_refuse_long_cache_key,
    after=_cache,
)
release_slots = TaskRule(
    name="release tag slots",
    entering=all_but("RUNNING", "CANCELLING"),
    after=_release_slots,
    always=True,
)
no_second_pending = TaskRule(
    name="one claim of a run",
    leaving=types("PENDING", "RUNNING", "CANCELLING", "CANCELLED"),
    entering=types("PENDING"),
    before=_no_second_pending,
)
keep_parameters = TaskRule(
    name="a deferred run keeps its parameters",
    leaving=types("SCHEDULED", "PENDING"),
    entering=types("PENDING", "RUNNING"),
    before=_keep_parameters,
)

CORE: tuple[TaskRule, ...] = (
    take_from_cache,
    leave_terminal,
    only_in_running_flows,
    take_slots,
    keep_scheduled_time,
    wait_until_due,
    retry,
    name_reruns,
    follow_flow_run,
    cache,
    release_slots,
    *TASK_TRANSFORMS,
)
BACKGROUND: tuple[TaskRule, ...] = (
    no_second_pending,
    take_from_cache,
    leave_terminal,
    keep_scheduled_time,
    keep_parameters,
    wait_until_due,
    retry,
    name_reruns,
    follow_flow_run,
    cache,
    release_slots,
    *TASK_TRANSFORMS,
)
MINIMAL: tuple[TaskRule, ...] = (release_slots, *TASK_TRANSFORMS)
