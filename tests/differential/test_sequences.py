"""Tailrace answers what the reference answers, but for what `deliberate.py` lists."""

import asyncio

import pytest

from tests.differential.comparison import Difference
from tests.differential.conftest import BothServers, Played
from tests.differential.deliberate import DELIBERATE, DELIBERATE_EVENTS
from tests.differential.events import told_by
from tests.differential.sequences import all_sequences

SEQUENCES = dict(all_sequences())
# The last: bad input for every route, of which each server makes what it can.
WRONG_INPUT = "wrong_input"
# Whoever asks for the last first waits for all others.
pytestmark = pytest.mark.timeout(400)


async def play(servers: BothServers, name: str) -> Played:
    """What came of a sequence. Those before it are played first, whatever the order of the tests: what
    one leaves behind in one server alone would be seen by others."""
    for each, sequence in SEQUENCES.items():
        played = await servers.play(each, sequence)
        if each == name:
            return played
    raise KeyError(name)


@pytest.mark.parametrize("name", SEQUENCES)
async def test_the_answers_are_the_same(both_servers: BothServers, name: str) -> None:
    played = await play(both_servers, name)
    found = [
        difference
        for difference in played.differences
        if not any(deliberate.covers(difference) for deliberate in DELIBERATE)
    ]
    # A list in another order differs everywhere, and what differs once differs again: the first
    # of each request, and of each place, tells enough.
    told: dict[object, Difference] = {}
    for difference in {each.step: each for each in reversed(found)}.values():
        told[(difference.route, difference.where, str(difference.theirs), str(difference.ours))] = (
            difference
        )
    report = "\n".join([*map(str, told.values()), *played.broken])
    if report:
        pytest.fail(report, pytrace=False)


async def test_every_route_is_played_and_every_deliberate_difference_is_seen(
    both_servers: BothServers,
) -> None:
    played = [await play(both_servers, name) for name in SEQUENCES]
    touched = frozenset().union(*(one.touched for one in played))
    assert sorted(both_servers.routes.operations.keys() - touched) == []
    differences = [difference for one in played for difference in one.differences]
    unseen = [
        deliberate
        for deliberate in DELIBERATE
        if not any(deliberate.covers(difference) for difference in differences)
    ]
    assert unseen == []


async def test_the_same_events_are_told(both_servers: BothServers) -> None:
    played = {name: await play(both_servers, name) for name in SEQUENCES}
    until = min(one.started for name, one in played.items() if name.startswith(WRONG_INPUT))
    different: list[str] = []
    async with asyncio.timeout(20):
        # Events are kept a moment after what they tell of.
        for _ in range(4):
            theirs = await told_by(both_servers.reference, until)
            ours = await told_by(both_servers.tailrace, until)
            different = [
                f"{side} told more: {told}"
                for side, more in (("theirs", theirs - ours), ("ours", ours - theirs))
                for told in sorted(more)
                if not any(deliberate.covers(told) for deliberate in DELIBERATE_EVENTS)
            ]
            if not different:
                break
            await asyncio.sleep(0.5)
    assert theirs
    if different:
        pytest.fail("\n".join(different), pytrace=False)
    unseen = [
        deliberate
        for deliberate in DELIBERATE_EVENTS
        if not any(deliberate.covers(told) for told in (theirs - ours) + (ours - theirs))
    ]
    assert unseen == []
