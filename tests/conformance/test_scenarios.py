"""Our answers are those that the reference (prefect 3.8.8) gave to the same scenarios."""

import json
from typing import Any

import httpx
import pytest

from tests.conformance.play import play
from tests.conformance.record import RECORDED
from tests.conformance.scenarios import (
    DEPLOYED_RUNS,
    FLOW_RUNS,
    MORE_FLOW_RUNS,
    TASK_RUNS,
    Scenario,
)

ANSWERS: dict[str, list[Any]] = json.loads(RECORDED.read_text("utf-8"))


@pytest.mark.parametrize(
    "scenario",
    [*FLOW_RUNS, *DEPLOYED_RUNS, *MORE_FLOW_RUNS, *TASK_RUNS],
    ids=lambda scenario: f"{scenario.kind}: {scenario.name}",
)
async def test_the_answers_are_those_of_the_reference(
    shared_client: httpx.AsyncClient, scenario: Scenario
) -> None:
    recorded = ANSWERS[f"{scenario.kind}: {scenario.name}"]
    answered = await play(shared_client, scenario)
    for step, ours, theirs in zip(scenario.steps, answered, recorded, strict=True):
        assert ours == theirs, step
