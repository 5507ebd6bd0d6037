"""What a record of OTLP becomes as a line of a run's log. docs/otlp.md says it for operators.

A record's run ids are looked for in its attributes, then in the scope's, the resource's and a body that
is an object, under the names that reach a Collector: those that Prefect's own loggers put on records, the
labels that its workers put on containers, the variable that they put into the environment.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from app.wire.logs import LogCreate

Attributes: TypeAlias = Mapping[str, object]

FLOW_RUN_NAMES = (
    "prefect.flow_run.id",
    "prefect.flow_run_id",
    "prefect.io/flow-run-id",
    "io.prefect.flow-run-id",
    "flow_run_id",
    "PREFECT__FLOW_RUN_ID",
)
TASK_RUN_NAMES = (
    "prefect.task_run.id",
    "prefect.task_run_id",
    "prefect.io/task-run-id",
    "io.prefect.task-run-id",
    "task_run_id",
)
# What Prefect's loggers say where there is no run.
_NO_RUN = frozenset({"", "None", "null", "<unknown>"})
_LOGGER_NAMES = ("logger.name", "logger_name", "log.logger", "logger")
_RESOURCE_NAMES = ("service.name", "k8s.container.name", "container.name")
# Of a record's attributes, those that say again what a line has anyway, or where the code or the file is.
_TOLD = frozenset(
    {
        *_LOGGER_NAMES,
        "flow_run_name",
        "task_run_name",
        "flow_name",
        "task_name",
        "exception.type",
        "exception.message",
        "exception.stacktrace",
    }
)
_PLACES = ("code.", "log.", "thread.", "process.")
_PLACE_NAMES = frozenset({"logtag", "taskName"})

_LEVELS_BY_TEXT = {
    "trace": 5,
    "debug": 10,
    "info": 20,
    "information": 20,
    "notice": 20,
    "warn": 30,
    "warning": 30,
    "err": 40,
    "error": 40,
    "fatal": 50,
    "critical": 50,
    "alert": 50,
    "emergency": 50,
}
_INFO = 20
_MOST_NANOSECONDS = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the records of one scope share: `resource` and `scope` are attributes."""

    resource: Attributes
    scope: Attributes
    scope_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record, whichever form it came in. `nanoseconds` is its time, else when it was observed, since
    the epoch; 0 when it says neither. `severity` is OTLP's number, 0 when not given."""

    nanoseconds: int = 0
    severity: int = 0
    severity_text: str = ""
    event_name: str = ""
    body: object = None
    attributes: Attributes = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""


class Rejected(ValueError):
    """A record that cannot become a line; the message says why."""


def line_of(record: Record, origin: Origin, *, now: dt.datetime) -> LogCreate:
    """The line. A record that says no time has `now`.

    Raises:
        Rejected: an id of a run is no UUID, or the time is none of 64 bits.
    """
    own = flattened(record.attributes)
    body = flattened(record.body) if isinstance(record.body, dict) else {}
    places = (own, flattened(origin.scope), flattened(origin.resource), body)
    return LogCreate(
        name=_logger(own, origin).replace("\0", ""),
        level=level_of(record.severity, record.severity_text),
        message=_message(record, own).replace("\0", ""),
        timestamp=_time(record.nanoseconds, now),
        flow_run_id=_run_id(places, FLOW_RUN_NAMES),
        task_run_id=_run_id(places, TASK_RUN_NAMES),
    )


def level_of(severity: int, text: str) -> int:
    """Python's number of a level. OTLP has four steps of each, of which Python's SDK uses the upper three
    for levels in between (11 is DEBUG2); without a number the text is asked, and INFO assumed."""
    if severity <= 0:
        return _LEVELS_BY_TEXT.get(text.strip().lower(), _INFO)
    severity = min(severity, 24)
    kind, step = divmod(severity - 1, 4)
    return 5 + step if kind == 0 else 10 * kind + step


def flattened(attributes: Attributes) -> dict[str, object]:
    """Objects within taken apart: `kubernetes: {labels: {a: 1}}` is `kubernetes.labels.a: 1`."""
    found: dict[str, object] = {}
    waiting = [("", attributes)]
    while waiting:
        prefix, members = waiting.pop()
        for name, value in members.items():
            if isinstance(value, dict) and value:
                waiting.append((f"{prefix}{name}.", value))
            else:
                found[prefix + name] = value
    return found


def _run_id(places: Iterable[dict[str, object]], names: tuple[str, ...]) -> str | None:
    for attributes in places:
        for name, value in attributes.items():
            if not _is_named(name, names):
                continue
            text = str(value).strip()
            if value is None or text in _NO_RUN:
                continue
            try:
                return str(uuid.UUID(text))
            except ValueError:
                raise Rejected(f"{name} {text[:64]!r} is not a UUID") from None
    return None


def _is_named(name: str, names: tuple[str, ...]) -> bool:
    """Also below another name: a Collector says `k8s.pod.labels.prefect.io/flow-run-id`."""
    return name.endswith(names) and any(name == each or name.endswith(f".{each}") for each in names)


def _logger(own: dict[str, object], origin: Origin) -> str:
    for name in _LOGGER_NAMES:
        if own.get(name):
            return str(own[name])
    if origin.scope_name:
        return origin.scope_name
    for name in _RESOURCE_NAMES:
        if origin.resource.get(name):
            return str(origin.resource[name])
    return "otlp"


def _message(record: Record, own: dict[str, object]) -> str:
    """The body, other attributes as ` key=value`, the trace, and the stack on lines of its own."""
    parts = [_text(record.body)] if record.body is not None else []
    if record.event_name and record.body is None:
        parts.append(record.event_name)
    parts += [f"{name}={_quoted(value)}" for name, value in own.items() if not _is_told(name)]
    if record.trace_id:
        parts.append(f"trace_id={record.trace_id}")
    if record.span_id:
        parts.append(f"span_id={record.span_id}")
    message = " ".join(parts)
    stack = own.get("exception.stacktrace") or _exception(own)
    return f"{message}\n{stack}" if stack else message


def _exception(own: dict[str, object]) -> str:
    told = [str(own[name]) for name in ("exception.type", "exception.message") if own.get(name)]
    return ": ".join(told)


def _is_told(name: str) -> bool:
    return (
        name in _TOLD
        or name in _PLACE_NAMES
        or name.startswith(_PLACES)
        or _is_named(name, FLOW_RUN_NAMES)
        or _is_named(name, TASK_RUN_NAMES)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _quoted(value: object) -> str:
    """As logfmt has it: in quotes when it could not be told from what follows."""
    text = _text(value)
    if isinstance(value, str) and (not text or any(c in text for c in ' ="\n')):
        return msgspec.json.encode(text).decode()
    return text


def _time(nanoseconds: int, now: dt.datetime) -> str:
    if not nanoseconds:
        return now.isoformat()
    if not 0 < nanoseconds <= _MOST_NANOSECONDS:
        raise Rejected(f"timeUnixNano {nanoseconds} does not fit 64 bits")
    seconds, rest = divmod(nanoseconds, 10**9)
    time = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=rest // 1000)
    return time.isoformat()
