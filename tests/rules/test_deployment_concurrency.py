"""Slots of a deployment's limit: who takes, keeps and gives them back."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest

from app.rules import flow_policy
from app.rules.transitions import (
    Abort,
    Accept,
    Effect,
    Reject,
    ReleaseDeploymentSlot,
    RenewDeploymentSlot,
    TakeDeploymentSlot,
    Wait,
)
from app.wire.concurrency import ConcurrencyLimit, LeaseHolder
from app.wire.deployments import ConcurrencyOptions
from app.wire.facts import Client, DeploymentFacts, FlowRunFacts
from app.wire.runs import FlowRunPolicy
from app.wire.states import State
from tests.rules.runs import FRESH, NOW, RUN_ID, SECOND, a_flow_run, a_state, propose_to_flow

LEASE = uuid.UUID(int=6)
LIMIT = uuid.UUID(int=4)
NEW, OLD = Client(version="3.4.11"), Client(version="3.4.10")
CANCEL_NEW = ConcurrencyOptions(collision_strategy="CANCEL_NEW")


def a_limit(limit: int = 1, active_slots: int = 0, *, active: bool = True) -> ConcurrencyLimit:
    return ConcurrencyLimit(
        id=LIMIT,
        created=NOW,
        updated=NOW,
        active=active,
        name="deployment:d",
        limit=limit,
        active_slots=active_slots,
        denied_slots=0,
        slot_decay_per_second=0.0,
        avg_slot_occupancy_seconds=2.0,
    )


def new(*args: Any, **kwargs: Any) -> State:
    return a_state(*args, at=NOW, **kwargs)


def of_deployment(
    state: State | None, limit: ConcurrencyLimit | None = None, **fields: Any
) -> FlowRunFacts:
    """A run whose deployment has a limit; `limit` is given where the rules may need it."""
    options = fields.pop("options", None)
    held = fields.pop("lease_held", False)
    client = fields.pop("client", NEW)
    deployment = DeploymentFacts(limit_id=LIMIT, options=options, limit=limit, lease_held=held)
    run = a_flow_run(state, deployment_id=uuid.UUID(int=9), client=client, **fields)
    return replace(run, deployment=deployment)


def slot_effects(effects: tuple[Effect, ...]) -> list[Effect]:
    kinds = (TakeDeploymentSlot, RenewDeploymentSlot, ReleaseDeploymentSlot)
    return [effect for effect in effects if isinstance(effect, kinds)]


def test_a_claim_takes_a_slot_and_the_state_names_its_lease() -> None:
    run = of_deployment(a_state("SCHEDULED"), a_limit(2, 1))
    decision = propose_to_flow(run, new("PENDING"))
    assert decision.state is not None
    assert decision.state.state_details.deployment_concurrency_lease_id == FRESH
    (taken,) = slot_effects(decision.effects)
    assert isinstance(taken, TakeDeploymentSlot)
    assert taken.limit.active_slots == 2
    assert (taken.lease.id, taken.lease.slots, taken.lease.holder) == (FRESH, 1, None)
    assert taken.lease.expires == NOW + 300 * SECOND


def test_the_deployment_says_how_long_infrastructure_may_take() -> None:
    options = ConcurrencyOptions(collision_strategy="ENQUEUE", grace_period_seconds=60)
    run = of_deployment(a_state("SCHEDULED"), a_limit(), options=options)
    (taken,) = slot_effects(propose_to_flow(run, new("PENDING")).effects)
    assert isinstance(taken, TakeDeploymentSlot)
    assert taken.lease.expires == NOW + 60 * SECOND


@pytest.mark.parametrize("limit", [a_limit(1, 1), a_limit(1, 0, active=False)])
def test_a_claim_without_a_slot_waits(limit: ConcurrencyLimit) -> None:
    decision = propose_to_flow(of_deployment(a_state("SCHEDULED"), limit), new("PENDING"))
    assert decision.verdict == Reject("Deployment concurrency limit reached.")
    assert decision.state is not None
    assert (decision.state.type, decision.state.name) == ("SCHEDULED", "AwaitingConcurrencySlot")
    assert decision.state.state_details.scheduled_time == NOW + 30 * SECOND
    assert slot_effects(decision.effects) == []


def test_a_claim_without_a_slot_is_cancelled_if_the_deployment_says_so() -> None:
    run = of_deployment(a_state("SCHEDULED"), a_limit(1, 1), options=CANCEL_NEW)
    decision = propose_to_flow(run, new("PENDING"))
    assert decision.state is not None
    assert (decision.state.type, decision.state.message) == (
        "CANCELLED",
        "Deployment concurrency limit reached.",
    )


def test_a_limit_of_none_and_a_deployment_that_is_gone_stop_the_claim() -> None:
    run = of_deployment(a_state("SCHEDULED"), a_limit(0))
    assert isinstance(propose_to_flow(run, new("PENDING")).verdict, Abort)
    gone = replace(run, deployment=None)
    assert propose_to_flow(gone, new("PENDING")).verdict == Abort("Deployment not found.")


@pytest.mark.parametrize("version", ["3.0.0rc20", "3.0.0", "3.0.3"])
def test_workers_that_count_by_themselves_are_let_through(version: str) -> None:
    run = of_deployment(a_state("SCHEDULED"), a_limit(1, 1), client=Client(version=version))
    decision = propose_to_flow(run, new("PENDING"))
    assert decision.verdict == Accept()
    assert slot_effects(decision.effects) == []


def test_a_claim_that_is_refused_later_takes_nothing() -> None:
    run = of_deployment(a_state("PAUSED"), a_limit())
    decision = propose_to_flow(run, new("PENDING"))
    assert decision.state is None
    assert slot_effects(decision.effects) == []


PENDING = a_state("PENDING", deployment_concurrency_lease_id=LEASE)
RUNNING = a_state("RUNNING", deployment_concurrency_lease_id=LEASE)


def test_a_run_that_starts_renews_its_lease() -> None:
    decision = propose_to_flow(of_deployment(PENDING, lease_held=True), new("RUNNING"))
    assert slot_effects(decision.effects) == [RenewDeploymentSlot(LEASE, NOW + 300 * SECOND)]
    assert decision.state is not None
    assert decision.state.state_details.deployment_concurrency_lease_id == LEASE


def test_a_run_that_is_too_early_renews_its_lease_all_the_same() -> None:
    due = NOW + 60 * SECOND
    early = a_state("PENDING", deployment_concurrency_lease_id=LEASE, scheduled_time=due)
    decision = propose_to_flow(of_deployment(early, lease_held=True), new("RUNNING"))
    assert isinstance(decision.verdict, Wait)
    assert slot_effects(decision.effects) == [RenewDeploymentSlot(LEASE, NOW + 300 * SECOND)]
    lost = propose_to_flow(of_deployment(early, a_limit()), new("RUNNING"))
    assert slot_effects(lost.effects) == [], "a slot is taken only by a state that names it"


def test_a_lost_lease_is_taken_anew_for_the_run() -> None:
    decision = propose_to_flow(of_deployment(PENDING, a_limit()), new("RUNNING"))
    taken = [each for each in decision.effects if isinstance(each, TakeDeploymentSlot)]
    assert [effect.lease.holder for effect in taken] == [LeaseHolder(type="flow_run", id=RUN_ID)]
    assert decision.state is not None
    assert decision.state.state_details.deployment_concurrency_lease_id == FRESH


def test_a_lost_lease_ends_the_run_if_another_has_the_slot() -> None:
    decision = propose_to_flow(of_deployment(PENDING, a_limit(1, 1)), new("RUNNING"))
    assert decision.verdict == Reject("Deployment concurrency limit reached after lease expiry.")
    assert decision.state is not None
    assert decision.state.type == "CANCELLED"


@pytest.mark.parametrize("client", [OLD, Client()])
def test_the_lease_of_a_client_that_renews_none_ends_with_the_run(client: Client) -> None:
    decision = propose_to_flow(of_deployment(PENDING, client=client), new("RUNNING"))
    (renewed,) = slot_effects(decision.effects)
    assert isinstance(renewed, RenewDeploymentSlot)
    assert renewed.expires > NOW + dt.timedelta(days=10_000)


@pytest.mark.parametrize("initial", [PENDING, RUNNING])
@pytest.mark.parametrize("proposed", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
@pytest.mark.parametrize("policy", [flow_policy.CORE, flow_policy.MINIMAL])
def test_a_run_that_ends_gives_its_slot_back(initial: State, proposed: Any, policy: Any) -> None:
    decision = propose_to_flow(of_deployment(initial), new(proposed), policy)
    assert slot_effects(decision.effects) == [ReleaseDeploymentSlot(LEASE)]


def test_a_run_that_never_took_a_slot_gives_none_back() -> None:
    decision = propose_to_flow(of_deployment(a_state("RUNNING")), new("COMPLETED"))
    assert slot_effects(decision.effects) == []


def test_a_retry_in_the_process_keeps_the_slot_and_a_proposed_one_gives_it_back() -> None:
    run = of_deployment(RUNNING, policy=FlowRunPolicy(retries=1))
    failed = propose_to_flow(run, new("FAILED"))
    assert failed.state is not None
    assert failed.state.state_details.deployment_concurrency_lease_id == LEASE
    assert slot_effects(failed.effects) == []
    proposed = propose_to_flow(run, new("SCHEDULED", "AwaitingRetry"))
    assert slot_effects(proposed.effects) == [ReleaseDeploymentSlot(LEASE)]


def test_who_waits_for_a_retry_and_is_cancelled_gives_the_slot_back() -> None:
    waiting = a_state("SCHEDULED", "AwaitingRetry", deployment_concurrency_lease_id=LEASE)
    decision = propose_to_flow(of_deployment(waiting), new("CANCELLED"))
    assert slot_effects(decision.effects) == [ReleaseDeploymentSlot(LEASE)]


def test_a_run_that_holds_a_slot_cannot_name_another_lease() -> None:
    other = new("RUNNING", deployment_concurrency_lease_id=uuid.UUID(int=77))
    decision = propose_to_flow(of_deployment(RUNNING), other)
    assert decision.state is not None
    assert decision.state.state_details.deployment_concurrency_lease_id == LEASE
    assert slot_effects(decision.effects) == []


def test_a_forced_state_keeps_the_slot_that_stays_held() -> None:
    decision = propose_to_flow(of_deployment(PENDING), new("RUNNING"), flow_policy.MINIMAL)
    assert decision.state is not None
    assert decision.state.state_details.deployment_concurrency_lease_id == LEASE
    assert slot_effects(decision.effects) == []


@pytest.mark.parametrize(
    ("limit", "options", "written"),
    [
        (a_limit(1, 1), CANCEL_NEW, "CANCELLED"),
        (a_limit(1, 0), CANCEL_NEW, "SCHEDULED"),
        (a_limit(1, 1), None, "SCHEDULED"),
    ],
)
def test_what_would_only_wait_is_cancelled_instead_of_late(
    limit: ConcurrencyLimit, options: ConcurrencyOptions | None, written: str
) -> None:
    run = of_deployment(a_state("SCHEDULED", scheduled_time=NOW), limit, options=options)
    late = new("SCHEDULED", "Late", scheduled_time=NOW)
    state = propose_to_flow(run, late, flow_policy.MARK_LATE).state
    assert state is not None
    assert state.type == written


@pytest.mark.parametrize(
    ("version", "renews"),
    [
        ("3.4.11", True),
        ("3.8.8+1.gabcdef", True),
        ("3.4.11rc1", False),
        ("3.4.11.dev2", False),
        ("3.4.9", False),
        ("3.4.11zzz", False),
        (None, False),
    ],
)
def test_versions_are_compared_as_versions(version: str | None, renews: bool) -> None:
    run = of_deployment(PENDING, lease_held=True, client=Client(version=version))
    (effect,) = slot_effects(propose_to_flow(run, new("RUNNING")).effects)
    assert isinstance(effect, RenewDeploymentSlot)
    assert (effect.expires == NOW + 300 * SECOND) is renews


def test_clients_from_before_pauses_have_no_pauses_reset() -> None:
    policy = FlowRunPolicy(retries=1, pause_keys=["k"], resuming=True)
    old = Client(api_version=(0, 8, 3))
    failed = propose_to_flow(
        a_flow_run(a_state("RUNNING"), policy=policy, client=old), new("FAILED")
    )
    assert failed.run.policy == policy
    ended = a_flow_run(a_state("FAILED"), policy=policy, client=old)
    again = propose_to_flow(ended, new("RUNNING")).run
    assert (again.policy.pause_keys, again.run_count) == (["k"], 1)
