"""The events of the benchmark are such as the server writes task runs from."""

import datetime as dt
import uuid

import pytest

from app.orchestration.task_run_recorder import observed_task_run
from app.wire.events import decode_event
from app.wire.runs import TaskRun
from bench.task_run_events import EventsLoad, event
from storage.postgres.event_buffer import received

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
FLOW_RUN = uuid.UUID(int=uuid.UUID("3d750e66-1893-4fcd-83f3-000000000000").int)
OTHER_FLOW_RUN = uuid.UUID("7d1f9d0c-0a75-4b5a-8d46-000000000000")


def told(number: int, flow_run_id: uuid.UUID = FLOW_RUN) -> TaskRun:
    """The task run as the server reads it from an event."""
    run = observed_task_run(received(decode_event(event(0, number, NOW, flow_run_id).decode())))
    assert run is not None
    return run


def test_three_events_tell_a_task_run_until_it_is_completed() -> None:
    runs = [told(number) for number in range(6)]
    assert [run.state_type for run in runs] == ["PENDING", "RUNNING", "COMPLETED"] * 2
    assert len({run.id for run in runs[:3]}) == 1
    assert len({run.id for run in runs}) == 2
    assert {run.flow_run_id for run in runs} == {FLOW_RUN}


def test_task_runs_of_different_sockets_are_different() -> None:
    assert told(0).id != told(0, OTHER_FLOW_RUN).id


@pytest.mark.parametrize(("sockets", "per_second"), [(1_000, 5_000), (7, 100)])
def test_every_socket_tells_whole_task_runs(sockets: int, per_second: int) -> None:
    load = EventsLoad(sockets=sockets, per_second=per_second, seconds=2)
    assert load.events % (3 * sockets) == 0
    assert load.events >= 3 * sockets
