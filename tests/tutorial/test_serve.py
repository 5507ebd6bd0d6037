"""A flow that serves its own deployment, on three schedules at once."""

import datetime as dt
from collections.abc import Awaitable, Callable

from tests.tutorial.conftest import Prefect


async def test_a_served_flow_keeps_its_schedules_runs_and_pauses_at_the_end(
    prefect_with_jobs: Prefect, eventually: Callable[..., Awaitable[None]]
) -> None:
    prefect = prefect_with_jobs
    async with prefect.server_of("served", "at-home") as agent:

        async def serves() -> bool:
            return "Your flow 'served' is being served" in agent.said()

        await eventually(serves, within=30)
        deployment = await prefect.deployment("served/at-home")
        assert (deployment["paused"], deployment["tags"]) == (False, ["at-home"])
        kept = {entry["parameters"]["word"]: entry for entry in deployment["schedules"]}
        assert kept["cron"]["schedule"] == {
            "cron": "0 7 * * 1-5",
            "timezone": "Europe/Berlin",
            "day_or": True,
        }
        assert kept["interval"]["schedule"]["interval"] == 6 * 3600
        rrule = kept["rrule"]["schedule"]["rrule"]
        assert rrule.endswith("FREQ=DAILY;BYHOUR=12;BYMINUTE=15;BYSECOND=0")
        assert {entry["active"] for entry in kept.values()} == {True}

        async def runs_of_each() -> bool:
            runs = await prefect.runs_of("at-home")
            return {run["parameters"]["word"] for run in runs} == {"cron", "interval", "rrule"}

        await eventually(runs_of_each, within=30)
        for run in await prefect.runs_of("at-home"):
            assert (run["state_type"], run["auto_scheduled"]) == ("SCHEDULED", True)
            assert {"auto-scheduled", "at-home"} <= set(run["tags"])
            at = dt.datetime.fromisoformat(run["expected_start_time"])
            assert at > dt.datetime.now(dt.UTC)
            minute_of_day = at.hour * 60 + at.minute
            match run["parameters"]["word"]:
                case "cron":
                    assert (minute_of_day, at.isoweekday() <= 5) in {(300, True), (360, True)}
                case "interval":
                    assert minute_of_day % 360 == 30
                case "rrule":
                    assert minute_of_day == 12 * 60 + 15

        asked = "--param", "word=hello", "--flow-run-name", "asked-for", "--watch"
        await prefect.command("deployment", "run", "served/at-home", *asked)
        [run] = [run for run in await prefect.runs_of("at-home") if run["name"] == "asked-for"]
        assert (run["state_type"], run["run_count"]) == ("COMPLETED", 1)
        assert run["parameters"] == {"word": "hello"}

        async def said_hello() -> bool:
            return "said hello" in [line.message for line in await prefect.logs(run["id"])]

        await eventually(said_hello)

        assert await agent.stop() == 0
    assert (await prefect.deployment("served/at-home"))["paused"]

    async def none_waits() -> bool:
        runs = await prefect.runs_of("at-home")
        return [run["name"] for run in runs] == ["asked-for"]

    # What was scheduled ahead is gone with the pause.
    await eventually(none_waits)
