"""Two conversations side by side: what differs, and what of it is no difference.

Each server makes its own ids and names, and the clock moves. So ids are replaced by where they were
first seen, times near now by `<now>`, generated names by `<generated>`. Of a refusal of bad input
only the status and the named field count, for the words are each server's own.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.differential.conversation import Exchange, body_of

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+")
# Seconds that a clock adds to, and how far they may be apart where a machine is slow; `body` is the
# answer of /flow_runs/lateness.
_RUNNING_SECONDS = {
    "body": 30.0,
    "delay_seconds": 5.0,
    "duration": 30.0,
    "estimated_run_time": 30.0,
    "estimated_start_time_delta": 30.0,
    "lateness": 30.0,
    "sum_estimated_lateness": 30.0,
    "sum_estimated_run_time": 30.0,
    "time_in_current_state": 30.0,
    "total_run_time": 30.0,
}
# Lists that the reference has in any order.
_UNORDERED = {
    "GET /block_capabilities/",
    "GET /deployments/{id}/work_queue_check",
    "POST /v2/concurrency_limits/decrement",
    "POST /v2/concurrency_limits/increment",
}
_NEAR = dt.timedelta(minutes=10)
HEADERS = ("content-type", "content-disposition", "location", "retry-after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where the two answers are not the same. `where` is `status`, `loc`, `header.<name>`,
    or `body` and the path in it with `[]` for any position in a list."""

    step: int
    request: str
    route: str
    where: str
    theirs: object
    ours: object

    def __str__(self) -> str:
        return f"{self.request}\n    {self.where}: theirs {self.theirs!r}, ours {self.ours!r}"


def differences(
    theirs: Sequence[Exchange], ours: Sequence[Exchange], routes: Sequence[str]
) -> Iterator[Difference]:
    """All of them, request by request. `routes` says for each exchange which route it is of."""
    their_ids: dict[str, str] = {}
    our_ids: dict[str, str] = {}
    for step, (their, our, route) in enumerate(zip(theirs, ours, routes, strict=False)):
        left = _noted(their.answer, route, f"{step}", their_ids)
        right = _noted(our.answer, route, f"{step}", our_ids)
        if left["status"] != right["status"]:
            # Whatever else differs follows from it.
            told = [f"{side.answer.status_code} {side.answer.text[:300]}" for side in (their, our)]
            yield _difference(step, their, route, "status", *told)
            continue
        for where in sorted(left.keys() | right.keys() if their.told else left.keys() & {"loc"}):
            one, other = left.get(where, "<absent>"), right.get(where, "<absent>")
            if where == "loc":
                if not _name_the_same(one, other):
                    yield _difference(step, their, route, where, one, other)
            elif one != other and not _is_about(where, one, other):
                yield _difference(step, their, route, where, one, other)


def _difference(
    step: int, exchange: Exchange, route: str, where: str, theirs: object, ours: object
) -> Difference:
    return Difference(
        step=step,
        request=exchange.request,
        route=route,
        where=re.sub(r"\[\d+\]", "[]", where),
        theirs=theirs,
        ours=ours,
    )


def _noted(answer: httpx.Response, route: str, step: str, ids: dict[str, str]) -> dict[str, object]:
    """What counts of an answer, by place."""
    noted: dict[str, object] = {"status": answer.status_code}
    for name in HEADERS:
        value = answer.headers.get(name)
        if value is None:
            continue
        if name == "content-type":
            value = value.split(";")[0]
        elif name == "location":
            value = httpx.URL(value).raw_path.decode()
        elif name == "retry-after":
            value = "<set>"
        noted[f"header.{name}"] = _text("", value, f"{step}.header.{name}", ids)
    body = body_of(answer)
    if answer.status_code == 422 and isinstance(body, dict) and "exception_detail" in body:
        noted["loc"] = [_place(error) for error in body["exception_detail"]]
        noted["body.exception_message"] = body["exception_message"]
        return noted
    if route in _UNORDERED and isinstance(body, list):
        body = sorted(body, key=lambda item: item["name"] if isinstance(item, dict) else item)
    noted.update(_leaves("body", body, step, ids))
    if "/block_" in answer.request.url.path:
        # Blocks that a server was made with are as old as the server.
        for where in noted:
            if where.endswith((".created", ".updated")):
                noted[where] = "<now>"
    return noted


def _leaves(path: str, value: Any, step: str, ids: dict[str, str]) -> Iterator[tuple[str, object]]:
    match value:
        case dict() if value:
            for key in sorted(value):
                name = _text("", key, f"{step}.{path}.<key>", ids)
                yield from _leaves(f"{path}.{name}", value[key], step, ids)
        case list() if value:
            if path.endswith(".states"):
                # Of a history; the reference has them in any order.
                value = sorted(value, key=lambda state: str(state.get("state_name")))
            elif path.endswith(".tags"):
                value = sorted(value)
            elif path.endswith(".pause_keys"):
                # A set; the keys that nobody gave are ids, and long.
                value = sorted(value, key=len)
            for index, item in enumerate(value):
                yield from _leaves(f"{path}[{index}]", item, step, ids)
        case str() if path == "body.next_page":
            yield path, "<set>"
        case str():
            yield path, _text(path.rpartition(".")[2], value, f"{step}.{path}", ids)
        case _:
            yield path, value


def _is_about(where: str, theirs: object, ours: object) -> bool:
    """Whether both are seconds that go on, and near each other."""
    name = where.rpartition(".")[2]
    # A whole number is a count, but for this one.
    number = int if name == "delay_seconds" else float
    return (
        name in _RUNNING_SECONDS
        and isinstance(theirs, number)
        and isinstance(ours, number)
        and abs(theirs - ours) < _RUNNING_SECONDS[name]
    )


def _text(name: str, text: str, place: str, ids: dict[str, str]) -> str:
    if _TIME.fullmatch(text):
        time = dt.datetime.fromisoformat(text)
        near = abs(time - dt.datetime.now(dt.UTC)) < _NEAR
        return "<now>" if near else time.astimezone(dt.UTC).isoformat()
    if name == "name" and _GENERATED_NAME.fullmatch(text):
        return "<generated>"
    return _ID.sub(lambda found: ids.setdefault(found[0], f"<{place}>"), text)


def _name_the_same(theirs: object, ours: object) -> bool:
    """Whether every place that we name is one of theirs, or lies in it. They put the names of
    alternatives between, and name all wrong fields; we name the first only."""
    if not isinstance(theirs, list) or not isinstance(ours, list):
        return False
    return all(
        any(
            _is_within(theirs_place, place) or (len(place) > 1 and _is_within(place, theirs_place))
            for theirs_place in theirs
        )
        for place in ours
    )


def _place(error: Any) -> tuple[str, ...]:
    """The field that an error names. Text that is no JSON has no fields; we name no keys of maps."""
    if error["type"] == "json_invalid":
        return ("body",)
    return tuple(str(part) for part in error["loc"] if part != "...")


def _is_within(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    rest = iter(long)
    return all(part in rest for part in short)
