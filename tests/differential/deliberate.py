"""Where Tailrace answers otherwise on purpose: all of it, each with its reason."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.differential.comparison import Difference


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
)

# Not on purpose: what differs and is to be mended. An entry that is seen no more is to be removed.
TO_MEND: tuple[Deliberate, ...] = (
    Deliberate(
        route="* /automations*",
        where="*",
        reason="automations are not there yet",
    ),
    Deliberate(
        route="*",
        where="status",
        theirs="200 *",
        ours="400 *is not of the form*",
        reason="an empty version header counts as none",
    ),
    Deliberate(
        route="POST /block_types/install_system_block_types",
        where="status",
        theirs="200 *",
        ours="405 *",
        reason="is not found",
    ),
    Deliberate(
        route="* /admin/storage",
        where="*",
        reason="a block that stores no results is to be refused",
    ),
    Deliberate(
        route="POST /block_schemas/",
        where="status",
        theirs="404 *",
        ours="200 *",
        reason="an unknown block type is to be refused first",
    ),
    Deliberate(
        route="GET /block_capabilities/",
        where="body[]",
        reason="only capabilities of block schemas that exist, in their order",
    ),
    Deliberate(
        route="POST /v2/concurrency_limits/increment",
        where="body[].*",
        reason="limits in another order",
    ),
    Deliberate(
        route="GET /deployments/{id}/work_queue_check",
        where="body*",
        reason="says other queues",
    ),
    Deliberate(
        route="* /deployments/*",
        where="loc",
        reason="a wrong schedule is told without its place",
    ),
    Deliberate(
        route="POST /deployments/",
        where="status",
        theirs="422 *",
        ours="20*",
        reason="version_info needs a version",
    ),
    Deliberate(
        route="GET /deployments/name/{flow_name}/{deployment_name}",
        where="status",
        theirs="404 *",
        ours="200 *",
        reason="version_info needs a version",
    ),
    Deliberate(
        route="POST /flow_runs/*",
        where="body*",
        reason="runs are not scheduled by asking yet",
    ),
    Deliberate(
        route="POST /work_queues/{id}/get_runs",
        where="body*",
        reason="hands out other runs",
    ),
    Deliberate(
        route="POST /work_pools/{name}/get_scheduled_flow_runs",
        where="body*",
        reason="hands out other runs",
    ),
    Deliberate(
        route="GET /collections/views/{view}",
        where="body*",
        reason="the views are to be bundled",
    ),
)
