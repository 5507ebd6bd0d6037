"""Old events go, in bounded batches; young ones stay."""

import pytest

from app.services import Services
from jobs import event_retention
from jobs.event_retention import remove_old_events

_INSERT = """
    INSERT INTO event (id, occurred, received, event, resource, related, payload)
    SELECT gen_random_uuid(), now() - make_interval(days => $1), now(), 'e', '{}', '[]', '{}'
    FROM generate_series(1, $2)
"""


async def test_events_are_kept_for_a_week(services: Services) -> None:
    await services.pool.execute(_INSERT, 8, 7)
    await services.pool.execute(_INSERT, 6, 3)
    assert await remove_old_events(services) == {"events": 7}
    assert await services.pool.fetchval("SELECT count(*) FROM event") == 3
    assert await remove_old_events(services) == {}


async def test_an_event_of_the_first_year_of_all_goes_too(services: Services) -> None:
    await services.pool.execute(
        "INSERT INTO event (id, occurred, received, event, resource, related, payload)"
        " VALUES (gen_random_uuid(), '-infinity', now(), 'e', '{}', '[]', '{}')"
    )
    assert await remove_old_events(services) == {"events": 1}


async def test_a_pass_is_bounded_and_the_next_one_goes_on(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "BATCH", 5)
    monkeypatch.setattr(event_retention, "MAX_BATCHES", 2)
    # All of one moment: a batch ends between events that cannot be told apart by their time.
    await services.pool.execute(_INSERT, 8, 12)
    assert await remove_old_events(services) == {"events": 10}
    assert await remove_old_events(services) == {"events": 2}
    assert await remove_old_events(services) == {}
