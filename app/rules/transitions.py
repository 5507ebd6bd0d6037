"""How rules decide about a proposed state. Pure: facts and `now` in, a decision out.

A *policy* is an ordered tuple of rules. A rule looks at pairs (state type it leaves, state type it
enters; None is no state) and has three parts, each from a draft to a draft:

- `before` may refuse, replace or amend the proposed state;
- `after` runs if the type the rule let through is what is written;
- `cleanup` runs if a later rule changed that type.

The pair is fixed by the proposal: once a rule has changed the proposed type, later rules do not
apply, except those marked `always` (transforms). `after` and `cleanup` run in reverse order. What a
decision changes outside the run itself is in its `effects`, as values that the caller carries out.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from app.wire.concurrency import ConcurrencyLimit, Lease
from app.wire.facts import RunFacts
from app.wire.states import STATE_TYPES, State, StateType

StateTypes: TypeAlias = "frozenset[StateType | None]"
ANY: StateTypes = frozenset({*STATE_TYPES, None})


def types(*names: StateType | None) -> StateTypes:
    """A set of state types; None is "no state"."""
    return frozenset(names)


def all_but(*names: StateType | None) -> StateTypes:
    """All state types, and none, but these."""
    return ANY - set(names)


F = TypeVar("F", bound=RunFacts)


# Verdicts and effects -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accept:
    """The proposed state holds."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Another state holds: a replacement, or the one that held before."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is written; propose again later."""

    delay_seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Nothing is written; whoever runs this is to stop."""

    reason: str


Verdict: TypeAlias = Accept | Reject | Wait | Abort


@dataclass(frozen=True, slots=True)
class EmitStateEvent:
    """Tell the event stream about the state that was written."""


@dataclass(frozen=True, slots=True)
class CopyStateToParentTask:
    """Give the dummy task run in the parent flow run a copy of the state."""

    task_run_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class CacheState:
    """Let later task runs with this key take the state that was written."""

    cache_key: str
    expiration: dt.datetime | None


@dataclass(frozen=True, slots=True)
class CountDenial:
    """Write down that the limits had no room; carried out although no state is written."""

    limits: tuple[ConcurrencyLimit, ...]


@dataclass(frozen=True, slots=True)
class TakeTagSlots:
    """Write the limits, whose slots are taken, and hold them for the task run."""

    limits: tuple[ConcurrencyLimit, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTagSlots:
    """Give back the slots of tag limits that this task run holds."""


@dataclass(frozen=True, slots=True)
class TakeDeploymentSlot:
    """Write the limit, whose slot is taken, and keep the lease on it."""

    limit: ConcurrencyLimit
    lease: Lease


@dataclass(frozen=True, slots=True)
class RenewDeploymentSlot:
    """Let the lease last until `expires`; carried out although no state may be written."""

    lease_id: uuid.UUID
    expires: dt.datetime


@dataclass(frozen=True, slots=True)
class ReleaseDeploymentSlot:
    """End the lease and give its slot back, unless that has been done."""

    lease_id: uuid.UUID


Effect: TypeAlias = (
    EmitStateEvent
    | CopyStateToParentTask
    | CacheState
    | CountDenial
    | TakeTagSlots
    | ReleaseTagSlots
    | TakeDeploymentSlot
    | RenewDeploymentSlot
    | ReleaseDeploymentSlot
)


# The engine ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Draft(Generic[F]):
    """A decision in the making. `facts` never change; `run` becomes what is written. `now` is the
    time of the proposal, `jitter` a random number in [0, 1), `fresh_id` an id nobody has yet."""

    facts: F
    run: F
    intended: StateType
    proposed: State | None
    now: dt.datetime
    jitter: float
    fresh_id: uuid.UUID
    verdict: Verdict = field(default_factory=Accept)
    effects: tuple[Effect, ...] = ()

    @property
    def initial(self) -> State | None:
        """The state that held before."""
        return self.facts.state

    def reject(self, state: State | None, reason: str) -> "Draft[F]":
        """Answer with `state`; None keeps the one that holds."""
        return replace(self, proposed=state, verdict=Reject(reason))

    def wait(self, seconds: int, reason: str) -> "Draft[F]":
        """Write nothing, ask to come back."""
        return replace(self, proposed=None, verdict=Wait(seconds, reason))

    def abort(self, reason: str) -> "Draft[F]":
        """Write nothing, ask to stop."""
        return replace(self, proposed=None, verdict=Abort(reason))

    def with_effect(self, effect: Effect) -> "Draft[F]":
        """With one more thing to carry out."""
        return replace(self, effects=(*self.effects, effect))


Part: TypeAlias = Callable[[Draft[F]], Draft[F]]


@dataclass(frozen=True, kw_only=True)
class Rule(Generic[F]):
    """One rule; see the module for what its parts mean."""

    name: str
    leaving: StateTypes = ANY
    entering: StateTypes = ANY
    before: "Part[F] | None" = None
    after: "Part[F] | None" = None
    cleanup: "Part[F] | None" = None
    always: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision(Generic[F]):
    """`state` is to be written unless it is None; `run` is to be written whatever the verdict."""

    verdict: Verdict
    state: State | None
    run: F
    effects: tuple[Effect, ...]


def decide(
    policy: Iterable[Rule[F]],
    facts: F,
    proposed: State,
    *,
    now: dt.datetime,
    jitter: float,
    fresh_id: uuid.UUID,
) -> Decision[F]:
    """What becomes of `proposed` under `policy`."""
    draft = Draft(
        facts=facts,
        run=facts,
        intended=proposed.type,
        proposed=proposed,
        now=now,
        jitter=jitter,
        fresh_id=fresh_id,
    )
    initial = facts.state.type if facts.state is not None else None
    entered: list[tuple[Rule[F], StateType | None]] = []
    for rule in policy:
        if initial not in rule.leaving or proposed.type not in rule.entering:
            continue
        if not rule.always and _type(draft) != proposed.type:
            continue
        if rule.before is not None:
            draft = rule.before(draft)
        entered.append((rule, _type(draft)))
    for rule, let_through in reversed(entered):
        part = _part_on_exit(rule, let_through, _type(draft))
        if part is not None:
            draft = part(draft)
    return Decision(
        verdict=draft.verdict, state=draft.proposed, run=draft.run, effects=draft.effects
    )


def _type(draft: Draft[F]) -> StateType | None:
    return draft.proposed.type if draft.proposed is not None else None


def _part_on_exit(
    rule: Rule[F], let_through: StateType | None, written: StateType | None
) -> "Part[F] | None":
    if rule.always:
        return rule.after
    if written != let_through:
        return rule.cleanup
    if written is None and None not in rule.entering:
        return None
    return rule.after
