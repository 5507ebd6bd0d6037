"""The event filter is said twice, in SQL and in Python; both mean the same."""

import datetime as dt
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.wire.base import new_id
from app.wire.event_filters import (
    EventAnyResourceFilter,
    EventFilter,
    EventIdFilter,
    EventNameFilter,
    EventRelatedFilter,
    EventResourceFilter,
    EventTextFilter,
    OccurredFilter,
)
from app.wire.events import ReceivedEvent, raw_json
from storage.postgres.event_predicate import predicate
from storage.postgres.events import count_events, insert_events, select_events
from storage.postgres.pool import Pool, connection

START = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
# Longer than what the index holds of an id, and alike as far as that.
LONG = "house." + "1" * 3000
IDS = ("house.1", "house.2", "barn.1", LONG, LONG + "2")
ROLES = ("owner", "tenant")
NAMES = ("house.opened", "house.closed", "barn.opened", "100%_true")
VALUES = ("red", "Reddish", "blue", 'a "quoted" word', "50%", "under_score")

ids = st.sampled_from(IDS)
label_values = st.sampled_from(VALUES)


def _resource(id: str, color: str | None, role: str | None = None) -> dict[str, str]:
    resource = {"prefect.resource.id": id}
    if color is not None:
        resource["color"] = color
    if role is not None:
        resource["prefect.resource.role"] = role
    return resource


def _event(
    second: int,
    name: str,
    resource: dict[str, str],
    related: list[dict[str, str]],
    payload: dict[str, object],
) -> ReceivedEvent:
    return ReceivedEvent(
        id=new_id(),
        occurred=START + dt.timedelta(seconds=second),
        received=START,
        event=name,
        resource=resource,
        related=related,
        payload=raw_json(payload),
    )


def _between(since: int, until: int) -> OccurredFilter:
    return OccurredFilter(
        since=START + dt.timedelta(seconds=since), until=START + dt.timedelta(seconds=until)
    )


events = st.builds(
    _event,
    st.integers(0, 5),
    st.sampled_from(NAMES),
    st.builds(_resource, ids, st.none() | label_values),
    st.lists(
        st.builds(_resource, ids, st.none() | label_values, st.sampled_from(ROLES)), max_size=3
    ),
    st.dictionaries(st.sampled_from(["key", "other"]), label_values | st.integers(0, 9)),
)

patterns = st.sampled_from(["red", "!red", "re*", "!re*", "*", "5?%", "*_*", "?lue", '*"*'])
labels = st.none() | st.dictionaries(
    st.sampled_from(["color", "missing", "prefect.resource.id"]),
    patterns | st.lists(patterns, max_size=2),
    max_size=2,
)
some_ids = st.none() | st.lists(ids, max_size=2)
prefixes = st.none() | st.lists(st.sampled_from(["house", "house.1", "ba", "100%", ""]), max_size=2)
related = st.builds(
    EventRelatedFilter,
    id=some_ids,
    role=st.none() | st.lists(st.sampled_from(ROLES), max_size=2),
    resources_in_roles=st.none() | st.lists(st.tuples(ids, st.sampled_from(ROLES)), max_size=2),
    labels=labels,
)
any_resource = st.builds(EventAnyResourceFilter, id=some_ids, id_prefix=prefixes, labels=labels)
filters = st.builds(
    EventFilter,
    occurred=st.builds(_between, st.integers(0, 2), st.integers(2, 5)),
    event=st.none()
    | st.builds(
        EventNameFilter,
        prefix=prefixes,
        exclude_prefix=prefixes,
        name=st.none() | st.lists(st.sampled_from(NAMES), max_size=2),
        exclude_name=st.none() | st.lists(st.sampled_from(NAMES), max_size=2),
    ),
    resource=st.none()
    | st.builds(EventResourceFilter, id=some_ids, id_prefix=prefixes, labels=labels),
    related=st.none() | related | st.lists(related, max_size=2),
    any_resource=st.none() | any_resource | st.lists(any_resource, max_size=2),
    text=st.none()
    | st.builds(
        EventTextFilter,
        query=st.sampled_from(
            ["", "RED", "blue -red", "+house +barn", '"a \\"quoted"', "50% key", "!owner", '"key":']
        ),
    ),
    order=st.sampled_from(["ASC", "DESC"]),
)


@given(st.lists(events, min_size=1, max_size=12), filters)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_sql_and_python_choose_the_same_events(
    pool: Pool, some: list[ReceivedEvent], on: EventFilter
) -> None:
    async with connection(pool) as conn:
        await conn.execute("DELETE FROM event")
        await insert_events(conn, some)
        found = await select_events(conn, on, limit=100)
        assert await count_events(conn, on) == len(found)
    matches = predicate(on)
    expected = sorted((event.occurred, event.id) for event in some if matches(event))
    got = [(event.occurred, event.id) for event in found]
    assert got == (expected if on.order == "ASC" else expected[::-1])


async def test_distinct_gives_the_newest_of_each_resource(pool: Pool) -> None:
    def event(second: int, resource: str) -> ReceivedEvent:
        return ReceivedEvent(
            id=new_id(),
            occurred=START + dt.timedelta(seconds=second),
            received=START,
            event="e",
            resource={"prefect.resource.id": resource},
        )

    sent = [event(1, "a"), event(3, "a"), event(2, "b"), event(0, "b")]
    on = EventFilter(
        occurred=OccurredFilter(since=START, until=START + dt.timedelta(minutes=1)),
        resource=EventResourceFilter(distinct=True),
    )
    async with connection(pool) as conn:
        await insert_events(conn, sent)
        assert [found.id for found in await select_events(conn, on, limit=9)] == [
            sent[1].id,
            sent[2].id,
        ]
        assert await count_events(conn, on) == 2
        first = EventFilter(
            occurred=on.occurred, id=EventIdFilter(id=[sent[0].id, sent[3].id]), order="ASC"
        )
        assert [found.id for found in await select_events(conn, first, limit=9)] == [
            sent[3].id,
            sent[0].id,
        ]


async def test_ids_are_found_by_index(pool: Pool) -> None:
    plan: list[Any] = []
    async with connection(pool) as conn:
        await conn.execute("SET enable_seqscan = off")
        for condition in (
            "left(e.resource ->> 'prefect.resource.id', 500) = ANY ('{a}')",
            "jsonb_path_query_array(e.related, '$[*].\"prefect.resource.id\"') ?| '{a}'",
            "e.received >= now()",
        ):
            plan += await conn.fetch(f"EXPLAIN SELECT * FROM event e WHERE {condition}")
        await conn.execute("RESET enable_seqscan")
    text = "\n".join(row[0] for row in plan)
    for index in ("event_by_resource", "event_by_related", "event_by_received"):
        assert index in text


def test_a_filter_of_one_is_a_filter_of_several() -> None:
    one = msgspec.json.decode(b'{"related":{"role":["flow"]}}', type=EventFilter)
    several = msgspec.json.decode(b'{"related":[{"role":["flow"]}]}', type=EventFilter)
    assert one.related == EventRelatedFilter(role=["flow"])
    assert several.related == [EventRelatedFilter(role=["flow"])]
