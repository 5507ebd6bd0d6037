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
        theirs="Data integrity conflict.*",
        ours="Data integrity conflict.*",
        reason="the conflict is named instead of the server's log",
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
        route="GET /task_run_states/{id}",
        where="body.detail",
        ours="Task run state not found",
        reason="the reference speaks of a flow run state",
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
)
