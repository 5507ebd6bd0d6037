"""Priorities of the queues of a pool: different whole numbers from 1 on, 1 being served first."""

import uuid
from collections.abc import Mapping


def first_free(priorities: Mapping[uuid.UUID, int]) -> int:
    """The smallest priority that no queue has."""
    taken = set(priorities.values())
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def make_room(
    priorities: Mapping[uuid.UUID, int], queue_id: uuid.UUID, priority: int
) -> dict[uuid.UUID, int]:
    """What changes when a queue takes this priority: who stands there moves back by one, and so on
    until there is a gap. The queue itself is among what changes."""
    others = sorted(
        (other, id) for id, other in priorities.items() if id != queue_id and other >= priority
    )
    changes = {queue_id: priority}
    last = priority
    for other, id in others:
        if other > last:
            break
        last += 1
        changes[id] = last
    return changes
