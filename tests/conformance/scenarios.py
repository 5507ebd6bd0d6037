"""What is done to runs, as data: a scenario is a run of its own and a list of steps.

Texts in angle brackets are filled in when a scenario is played: `<past>`, `<soon>` (90 s from now),
`<a>` and `<b>` (ids), `<key>` (a cache key of this scenario), `<flow run>` (the flow run of the
scenario, for steps with task runs), `<deployment>` (the deployment of the scenario, if it has one).
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Action: TypeAlias = Literal[
    "set",
    "force",
    "read",
    "resume",
    "input",
    "patch",
    "set flow run",
    "set other",
    "slots",
    "delete",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One request about the run of the scenario. `body` is the state for `set` and `force`."""

    action: Action
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run made with `create`, then the steps. For `task_run`, a running flow run is made first.
    With `deployment`, one is made as that says, and a scheduled run of it that "set other" is about.
    `version` is the version of the client that proposes; None does not say."""

    name: str
    create: dict[str, Any]
    steps: tuple[Step, ...]
    kind: Literal["flow_run", "task_run"] = "flow_run"
    deployment: dict[str, Any] | None = None
    version: str | None = None


def to(type: str, name: str | None = None, /, *, message: str | None = None, **rest: Any) -> Step:
    """Propose a state; what else is given are its details, but for `data`."""
    return Step("set", _state(type, name, message, rest))


def force(type: str, name: str | None = None, /, **rest: Any) -> Step:
    """Propose a state by force."""
    return Step("force", _state(type, name, None, rest))


def _state(
    type: str, name: str | None, message: str | None, rest: dict[str, Any]
) -> dict[str, Any]:
    data = rest.pop("data", None)
    state = {"type": type, "name": name, "message": message, "data": data, "state_details": rest}
    return {key: value for key, value in state.items() if value is not None}


READ = Step("read")
RUN: dict[str, Any] = {}
SCHEDULED: dict[str, Any] = {"state": {"type": "SCHEDULED"}}
PERSISTED = {"type": "x"}
UNPERSISTED = {"type": "unpersisted"}
SCHEMA = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'


def _scheduled(time: str) -> dict[str, Any]:
    return {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": time}}}


def _paused(**details: Any) -> dict[str, Any]:
    return {"state": {"type": "PAUSED", "state_details": details}}


FLOW_RUNS = (
    Scenario("a life", RUN, (to("RUNNING"), READ, to("COMPLETED", message="m"), READ)),
    Scenario(
        "leave a terminal state",
        RUN,
        (
            to("RUNNING"),
            to("COMPLETED"),
            to("CRASHED"),
            to("PAUSED"),
            to("CANCELLING"),
            to("SCHEDULED"),
            to("RUNNING"),
            READ,
            to("PENDING"),
        ),
    ),
    Scenario(
        "a transition sent twice",
        RUN,
        (
            to("RUNNING", transition_id="<a>"),
            to("RUNNING", transition_id="<a>"),
            to("RUNNING", transition_id="<b>"),
            READ,
        ),
    ),
    Scenario(
        "a persisted result",
        RUN,
        (
            to("RUNNING"),
            to("COMPLETED", data=PERSISTED),
            to("RUNNING"),
            to("COMPLETED"),
            to("COMPLETED", data=UNPERSISTED),
            force("COMPLETED"),
            to("COMPLETED", data={"a": 1}),
            to("FAILED"),
            READ,
        ),
    ),
    Scenario("by force", RUN, (force("COMPLETED", data=PERSISTED), force("RUNNING"), READ)),
    Scenario(
        "by force from end to end",
        RUN,
        (force("COMPLETED"), force("CRASHED"), READ, force("SCHEDULED"), READ),
    ),
    Scenario(
        "cancelling",
        RUN,
        (
            to("RUNNING"),
            to("CANCELLING"),
            to("FAILED"),
            to("COMPLETED"),
            to("PENDING"),
            to("CANCELLED"),
            READ,
        ),
    ),
    Scenario("cancel what never started", SCHEDULED, (to("CANCELLING"), READ)),
    Scenario(
        "cancel what has a process",
        SCHEDULED,
        (Step("patch", {"infrastructure_pid": "1"}), to("CANCELLING"), READ),
    ),
    Scenario(
        "cancel what is suspended for too long",
        _paused(pause_reschedule=True, pause_timeout="<past>"),
        (to("CANCELLING"), READ),
    ),
    Scenario("cancel what is paused", _paused(pause_timeout="<past>"), (to("CANCELLING"), READ)),
    Scenario(
        "claims",
        _scheduled("<past>"),
        (
            to("PENDING"),
            to("PENDING"),
            to("PENDING", "Submitting"),
            to("PENDING", "Submitting"),
            to("PENDING", "InfrastructurePending"),
            to("RUNNING"),
            to("PENDING"),
            READ,
        ),
    ),
    Scenario("too early", _scheduled("<soon>"), (to("PENDING"), to("RUNNING"), READ)),
    Scenario("late", SCHEDULED, (to("SCHEDULED", "Late"), to("SCHEDULED", "Late"), READ)),
    Scenario("late but pending", RUN, (to("SCHEDULED", "Late"),)),
    Scenario(
        "pauses",
        RUN,
        (
            to("PAUSED"),
            to("PAUSED", "Suspended"),
            to("RUNNING"),
            to("PAUSED", pause_key="k", pause_timeout="<soon>"),
            READ,
            to("PAUSED"),
            to("PENDING"),
            READ,
            to("RUNNING"),
            READ,
            to("PAUSED", pause_key="k"),
            to("PAUSED", "Suspended", pause_key="l", pause_reschedule=True),
            READ,
        ),
    ),
    Scenario(
        "resumed too late",
        RUN,
        (to("RUNNING"), to("PAUSED", pause_key="k", pause_timeout="<past>"), to("RUNNING"), READ),
    ),
    Scenario(
        "completed while suspended for too long",
        RUN,
        (
            to("RUNNING"),
            to("PAUSED", "Suspended", pause_key="k", pause_timeout="<past>"),
            to("COMPLETED"),
            READ,
        ),
    ),
    Scenario(
        "nobody would pick it up again",
        _paused(pause_reschedule=True, pause_timeout="<soon>"),
        (to("RUNNING"), READ),
    ),
    Scenario(
        "retry",
        {"empirical_policy": {"retries": 1, "retry_delay": 0}},
        (
            to("RUNNING"),
            to("FAILED", message="m", data={"a": 1}),
            READ,
            to("RUNNING"),
            READ,
            to("FAILED"),
            READ,
        ),
    ),
    Scenario(
        "retry after a delay",
        {"empirical_policy": {"retries": 1, "retry_delay": 60}},
        (to("RUNNING"), to("FAILED"), to("RUNNING"), to("PENDING"), READ),
    ),
    Scenario(
        "resume",
        RUN,
        (
            Step("resume"),
            to("RUNNING"),
            to("PAUSED", pause_key="k", pause_timeout="<soon>"),
            Step("resume"),
            READ,
        ),
    ),
    Scenario(
        "resume with input",
        RUN,
        (
            to("RUNNING"),
            Step("input", {"key": "p-schema", "value": SCHEMA}),
            to(
                "PAUSED",
                pause_key="k",
                pause_timeout="<soon>",
                run_input_keyset={"schema": "p-schema", "response": "p-response"},
            ),
            Step("resume", {"run_input": {"a": "x"}}),
            Step("resume"),
            Step("resume", {"run_input": {"a": 1}}),
            READ,
        ),
    ),
)

SLOTS = Step("slots")
DEPLOYED: dict[str, Any] = {**_scheduled("<past>"), "deployment_id": "<deployment>"}
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1}


def _other(type: str, name: str | None = None) -> Step:
    return Step("set other", _state(type, name, None, {}))


def _deployed(
    name: str, *steps: Step, version: str | None = "3.8.8", create: Any = DEPLOYED, **limits: Any
) -> Scenario:
    return Scenario(name, create, steps, deployment=limits or ONE_AT_A_TIME, version=version)


DEPLOYED_RUNS = (
    _deployed(
        "a life with a slot",
        to("PENDING"),
        SLOTS,
        to("PENDING", "Submitting"),
        to("RUNNING"),
        SLOTS,
        to("COMPLETED"),
        SLOTS,
        READ,
    ),
    _deployed("no slot is free", _other("PENDING"), to("PENDING"), READ, SLOTS, _other("RUNNING")),
    _deployed(
        "no slot is free and nobody waits",
        _other("PENDING"),
        to("PENDING"),
        READ,
        SLOTS,
        concurrency_limit=1,
        concurrency_options={"collision_strategy": "CANCEL_NEW"},
    ),
    _deployed("no limit", to("PENDING"), to("RUNNING"), to("COMPLETED"), concurrency_limit=None),
    _deployed(
        "a slot is kept while the run awaits its retry",
        to("PENDING"),
        to("RUNNING"),
        to("FAILED"),
        SLOTS,
        to("RUNNING"),
        SLOTS,
        to("FAILED"),
        SLOTS,
        create={**DEPLOYED, "empirical_policy": {"retries": 1, "retry_delay": 0}},
    ),
    _deployed(
        "a slot comes back when the run is scheduled again",
        to("PENDING"),
        to("RUNNING"),
        to("SCHEDULED", "AwaitingRetry", scheduled_time="<soon>"),
        SLOTS,
        READ,
    ),
    _deployed(
        "a slot comes back with a pause",
        to("PENDING"),
        to("RUNNING"),
        to("PAUSED", pause_key="k", pause_timeout="<soon>"),
        SLOTS,
        Step("resume"),
        SLOTS,
        to("COMPLETED"),
        SLOTS,
    ),
    _deployed(
        "suspended and resumed",
        to("PENDING"),
        to("RUNNING"),
        to("PAUSED", "Suspended", pause_key="k", pause_reschedule=True, pause_timeout="<soon>"),
        SLOTS,
        Step("resume"),
        to("PENDING"),
        SLOTS,
        to("RUNNING"),
        READ,
        to("CANCELLING"),
        SLOTS,
        to("CANCELLED"),
        SLOTS,
    ),
    _deployed(
        "cancelled before it runs", to("PENDING"), to("CANCELLING"), SLOTS, to("CANCELLED"), SLOTS
    ),
    _deployed("ended by force", to("PENDING"), to("RUNNING"), force("FAILED"), SLOTS),
    _deployed(
        "run again after it ended",
        to("PENDING"),
        to("RUNNING"),
        to("FAILED"),
        to("SCHEDULED", "AwaitingRetry"),
        READ,
        to("PENDING"),
        SLOTS,
        to("RUNNING"),
        READ,
    ),
    _deployed(
        "a client that does not renew",
        to("PENDING"),
        to("RUNNING"),
        SLOTS,
        to("COMPLETED"),
        SLOTS,
        version="3.4.10",
    ),
    _deployed(
        "a client that does not say who it is",
        to("PENDING"),
        to("RUNNING"),
        SLOTS,
        to("COMPLETED"),
        SLOTS,
        version=None,
    ),
    _deployed("a client that counts by itself", to("PENDING"), SLOTS, version="3.0.2"),
    _deployed("deleted while it runs", to("PENDING"), to("RUNNING"), Step("delete"), SLOTS),
    _deployed("late and claimed", to("SCHEDULED", "Late"), to("PENDING"), SLOTS),
)

MORE_FLOW_RUNS = (
    Scenario(
        "resume with input that is to be made",
        RUN,
        (
            to("RUNNING"),
            Step("input", {"key": "p-schema", "value": SCHEMA}),
            to(
                "PAUSED",
                pause_key="k",
                pause_timeout="<soon>",
                run_input_keyset={"schema": "p-schema", "response": "p-response"},
            ),
            Step("resume", {"run_input": {"a": {"__prefect_kind": "json", "value": "{"}}}),
            Step("resume", {"run_input": {"a": {"__prefect_kind": "json", "value": "[]"}}}),
            Step("resume", {"run_input": {"a": {"__prefect_kind": "json", "value": "1"}}}),
            READ,
        ),
    ),
    Scenario(
        "resume without the schema of the input",
        RUN,
        (
            to("RUNNING"),
            to(
                "PAUSED",
                pause_key="k",
                pause_timeout="<soon>",
                run_input_keyset={"schema": "p-schema", "response": "p-response"},
            ),
            Step("resume", {"run_input": {"a": 1}}),
            READ,
        ),
    ),
    Scenario(
        "cancel while it awaits its retry",
        {"empirical_policy": {"retries": 1, "retry_delay": 60}},
        (
            to("RUNNING"),
            Step("patch", {"infrastructure_pid": "1"}),
            to("FAILED"),
            to("CANCELLING"),
            to("CANCELLED"),
            READ,
        ),
    ),
    Scenario("cancel what is pending", RUN, (to("CANCELLING"), to("CANCELLED"), READ)),
    Scenario(
        "a second pause",
        RUN,
        (
            to("RUNNING"),
            to("PAUSED", pause_key="a", pause_timeout="<soon>"),
            to("RUNNING"),
            to("PAUSED", pause_key="b", pause_timeout="<soon>"),
            to("RUNNING"),
            READ,
            to("COMPLETED"),
            READ,
        ),
    ),
    Scenario(
        "a result that is no document",
        RUN,
        (to("RUNNING"), to("COMPLETED", data=[1]), to("COMPLETED"), to("RUNNING"), READ),
    ),
    Scenario(
        "an empty result",
        RUN,
        (to("RUNNING"), to("COMPLETED", data={}), to("COMPLETED"), to("RUNNING"), READ),
    ),
    _deployed(
        "cancelled while suspended",
        to("PENDING"),
        to("RUNNING"),
        to("PAUSED", "Suspended", pause_key="k", pause_reschedule=True, pause_timeout="<soon>"),
        to("CANCELLING"),
        SLOTS,
        READ,
    ),
    _deployed(
        "cancelled while it is to be resumed",
        to("PENDING"),
        to("RUNNING"),
        Step("patch", {"infrastructure_pid": "1"}),
        to("PAUSED", "Suspended", pause_key="k", pause_reschedule=True, pause_timeout="<soon>"),
        Step("resume"),
        to("CANCELLING"),
        SLOTS,
        READ,
    ),
    _deployed(
        "suspended for too long",
        to("PENDING"),
        to("RUNNING"),
        to("PAUSED", "Suspended", pause_key="k", pause_reschedule=True, pause_timeout="<past>"),
        Step("resume"),
        READ,
    ),
)

INSIDE: dict[str, Any] = {"flow_run_id": "<flow run>"}

TASK_RUNS = (
    Scenario(
        "a life",
        INSIDE,
        (
            to("RUNNING"),
            to("RUNNING"),
            to("COMPLETED", data=PERSISTED),
            to("RUNNING"),
            to("CRASHED"),
            to("COMPLETED"),
            READ,
        ),
        "task_run",
    ),
    Scenario(
        "without a result",
        INSIDE,
        (to("RUNNING"), to("COMPLETED"), READ, to("RUNNING"), READ, to("FAILED"), to("CANCELLING")),
        "task_run",
    ),
    Scenario(
        "with a result that is gone",
        INSIDE,
        (to("RUNNING"), to("COMPLETED", data=UNPERSISTED), to("RUNNING"), READ),
        "task_run",
    ),
    Scenario(
        "retries",
        {**INSIDE, "empirical_policy": {"retries": 2, "retry_delay": [0, 60]}},
        (
            to("RUNNING"),
            to("FAILED", message="m"),
            READ,
            to("RUNNING"),
            READ,
            to("FAILED"),
            to("RUNNING"),
            READ,
        ),
        "task_run",
    ),
    Scenario(
        "not retriable",
        {**INSIDE, "empirical_policy": {"retries": 2, "retry_delay": 0}},
        (to("RUNNING"), to("FAILED", retriable=False), READ),
        "task_run",
    ),
    Scenario(
        "cached",
        INSIDE,
        (
            to("RUNNING"),
            to("COMPLETED", cache_key="<key>"),
            to("RUNNING", cache_key="<key>"),
            to("RUNNING", cache_key="<key>", refresh_cache=True),
            READ,
        ),
        "task_run",
    ),
    Scenario(
        "too long a key",
        INSIDE,
        (to("RUNNING"), to("COMPLETED", cache_key="k" * 2001), READ),
        "task_run",
    ),
    Scenario(
        "deferred",
        {
            "state": {
                "type": "SCHEDULED",
                "state_details": {"deferred": True, "task_parameters_id": "<a>"},
            }
        },
        (
            to("PENDING", deferred=True),
            to("PENDING", deferred=True),
            to("RUNNING", deferred=True),
            READ,
        ),
        "task_run",
    ),
    Scenario(
        "in a paused flow",
        INSIDE,
        (
            Step("set flow run", {"type": "PAUSED", "state_details": {"pause_timeout": "<soon>"}}),
            to("RUNNING"),
            READ,
        ),
        "task_run",
    ),
    Scenario(
        "in a flow that has ended",
        INSIDE,
        (Step("set flow run", {"type": "COMPLETED"}), to("RUNNING"), force("RUNNING"), READ),
        "task_run",
    ),
    Scenario("too early", _scheduled("<soon>"), (to("RUNNING"), READ), "task_run"),
)
