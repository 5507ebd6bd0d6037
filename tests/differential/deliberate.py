"""Where Tailrace answers otherwise on purpose: all of it, each with its reason."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.differential.comparison import Difference
from tests.differential.events import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliberate:
    """Differences at `where` of answers of `route`, for `reason`. All but the reason are globs; a
    `status` is told with the body's beginning."""

    route: str
    where: str
    reason: str
    theirs: str = "*"
    ours: str = "*"

    def covers(self, difference: Difference) -> bool:
        """Whether this is why."""
        return (
            fnmatchcase(difference.route, self.route)
            and fnmatchcase(difference.where, self.where.replace("[]", "[[]]"))
            and fnmatchcase(str(difference.theirs), self.theirs)
            and fnmatchcase(str(difference.ours), self.ours)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliberateEvent:
    """Events of that name about a resource of that name are told by one side only, for `reason`."""

    event: str
    reason: str
    name: str = "*"
    related: str = "*"

    def covers(self, told: Told) -> bool:
        """Whether this is why."""
        event, name, related, _ = told
        return (
            fnmatchcase(event, self.event)
            and fnmatchcase(name, self.name)
            and fnmatchcase(", ".join(related), self.related)
        )


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        route="*",
        where="status",
        theirs="500 *",
        ours="[24]*",
        reason="the reference breaks; Tailrace does what was asked or says what is wrong",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="503 *",
        ours="4*",
        reason="what PostgreSQL cannot keep is bad input; a client asks again after 503, in vain",
    ),
    Deliberate(
        route="POST /logs/filter",
        where="status",
        theirs="503 *",
        ours="200 *",
        reason="a level above all levels matches nothing",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="[24]* *",
        ours="422 *Expected `int` <= *",
        reason="a number that could not be kept is refused before anything is looked for",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="[24]* *",
        ours="422 *Expected `datetime*got `int`*",
        reason="a time is a text",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="[24]* *",
        ours="422 *invalid byte sequence*",
        reason="no text has a NUL, whatever becomes of it",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs='422 *"input":"{*',
        ours="20*",
        reason="a body is read as JSON whatever it is said to be",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="307 *",
        ours="2*",
        reason="a path without its slash is answered at once, which saves a round trip",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="400 *error parsing the body*",
        ours="422 *",
        reason="a body that is not UTF-8 is bad input like any other",
    ),
    Deliberate(
        route="*",
        where="body.detail",
        reason="an error says in our own words what is wrong; clients only show them",
    ),
    Deliberate(
        route="PATCH /flow_runs/{id}/labels",
        where="status",
        theirs="204 *",
        ours="422 *",
        reason="labels that no flow run may have are refused; the reference cannot read such a run",
    ),
    Deliberate(
        route="GET /artifacts/{key}/latest",
        where="body.id",
        reason="the artifact's own id, which GET /artifacts/{id} takes, and not its collection's",
    ),
    Deliberate(
        route="POST /flow_runs/",
        where="status",
        theirs="409 *",
        ours="201 *",
        reason="a subflow's parent task run may become known later, for events tell of it",
    ),
    Deliberate(
        route="PATCH /flow_runs/{id}/labels",
        where="body.*",
        reason="one form for what is not there, {detail}, but for the state routes",
    ),
    Deliberate(
        route="* /*_runs/{id}",
        where="body.name",
        theirs="<generated>",
        reason="a name of null leaves the name; the reference makes up another",
    ),
    Deliberate(
        route="POST /task_runs/paginate",
        where="body.results[].*",
        theirs="<absent>",
        reason="task runs have the same fields in a page as anywhere",
    ),
    Deliberate(
        route="* /flow_runs/*",
        where="body*.job_variables",
        theirs="None",
        ours="{}",
        reason="no job variables are {}, also for a run with an idempotency key",
    ),
    Deliberate(
        route="GET /admin/settings",
        where="body.*",
        reason="the settings are those of Tailrace",
    ),
    Deliberate(
        route="* /block*",
        where="*fields*",
        ours="<absent>",
        reason="examples and descriptions of system blocks are not copied",
    ),
    Deliberate(
        route="GET /block_types/slug/{slug}",
        where="body.*",
        reason="examples and descriptions of system blocks are not copied",
    ),
    Deliberate(
        route="* /*block*",
        where="*block_type.*",
        reason="examples and descriptions of system blocks are not copied",
    ),
    Deliberate(
        route="* /block_documents/*",
        where="body*.name",
        theirs="anonymous-*",
        ours="anonymous-*",
        reason="a name is made up for an anonymous block",
    ),
    Deliberate(
        route="PATCH /block_documents/{id}",
        where="status",
        theirs="204 *",
        ours="409 *",
        reason="a schema that does not exist is refused",
    ),
    Deliberate(
        route="POST /v2/concurrency_limits/*crement",
        where="status",
        theirs='422 *["body","create_if_missing"]*',
        ours="200 *",
        reason="what nothing comes of is not looked at",
    ),
    Deliberate(
        route="POST /concurrency_limits/",
        where="status",
        theirs="201 *",
        ours="422 *",
        reason="a limit is not negative",
    ),
    Deliberate(
        route="POST /v2/concurrency_limits/leases/{lease_id}/renew",
        where="status",
        theirs="422 *",
        ours="404 *",
        reason="what is no id is nowhere, as on every other route",
    ),
    Deliberate(
        route="POST /logs/filter",
        where="body[].created",
        reason="a line's time is the only one that is kept (docs/decisions/001)",
    ),
    Deliberate(
        route="POST /logs/filter",
        where="body[].updated",
        reason="a line's time is the only one that is kept (docs/decisions/001)",
    ),
    Deliberate(
        route="POST /ui/*",
        where="status",
        theirs="200 *",
        ours="422 *",
        reason="a list of ids has at most 200",
    ),
    Deliberate(
        route="* /work_pools/{work_pool_name}/queues*",
        where="body*.status",
        theirs="NOT_READY",
        ours="PAUSED",
        reason="a queue that is made paused says so at once",
    ),
    Deliberate(
        route="POST /work_pools/{name}/get_scheduled_flow_runs",
        where="body[].flow_run.state*",
        reason="a run is handed out with its state",
    ),
    Deliberate(
        route="POST /work_pools/{name}/get_scheduled_flow_runs",
        where="body[].flow_run.work_pool_*",
        theirs="<absent>",
        reason="a run is handed out with its pool",
    ),
    Deliberate(
        route="POST /work_queues/{id}/get_runs",
        where="body[].work_pool_*",
        theirs="None",
        reason="a run is handed out with its pool",
    ),
    Deliberate(
        route="GET /collections/views/{view}",
        where="body*",
        reason="only the types of work pools that Tailrace knows by itself",
    ),
    Deliberate(
        route="POST */templates/validate",
        where="status",
        theirs="204 *",
        ours="422 *",
        reason="a template that would not be rendered is refused (docs/decisions/006)",
    ),
    Deliberate(
        route="P* /automations/*",
        where="status",
        ours="501 *",
        reason="automations are not there yet",
    ),
    Deliberate(
        route="* /flow_runs/*",
        where="body*.state_details.flow_run_id",
        theirs="None",
        reason="every state of a flow run says which run it is of, also one that a schedule made",
    ),
    Deliberate(
        route="GET /deployments/{id}/work_queue_check",
        where="body[].*",
        theirs="<absent>",
        reason="queues have the same fields here as anywhere",
    ),
)

DELIBERATE_EVENTS: tuple[DeliberateEvent, ...] = (
    DeliberateEvent(
        event="prefect.concurrency-limit.created",
        name="tag:t",
        reason="a limit is not negative",
    ),
    DeliberateEvent(
        event="prefect.block-document.updated",
        name="doc-1",
        reason="a schema that does not exist is refused",
    ),
    DeliberateEvent(
        event="prefect.flow.created",
        name="without slash 1",
        reason="a path without its slash is answered at once, which saves a round trip",
    ),
    DeliberateEvent(
        event="prefect.flow-run.Pending",
        related="flow: flow fr bad 1, task-run: task-run",
        reason="a subflow's parent task run may become known later, for events tell of it",
    ),
    DeliberateEvent(
        event="prefect.deployment.updated",
        name="dep 1",
        related="concurrency-limit: *",
        reason="a limit that a deployment shares is let go of (docs/decisions/006)",
    ),
    DeliberateEvent(
        event="prefect.deployment.updated",
        name="life 1",
        reason="that a deployment is paused is told as every other change",
    ),
    DeliberateEvent(
        event="prefect.work-pool.created",
        name="default-agent-pool",
        reason="that of the old agents comes with the first queue of theirs, which is told",
    ),
    DeliberateEvent(
        event="prefect.work-queue.created",
        related="work-pool: work-pool default-agent-pool",
        reason="a queue that a deployment or a run names is told of by these",
    ),
    DeliberateEvent(
        event="prefect.work-queue.deleted",
        name="default",
        reason="the default queue of a pool stays, so its end is not told",
    ),
)
