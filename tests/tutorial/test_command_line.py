"""What the client's own commands print of pools, deployments, runs, limits and variables."""

from tests.tutorial.conftest import Prefect, Said


def succeeded(said: list[Said]) -> list[Said]:
    """What commands said that all went well."""
    for one in said:
        assert one.status == 0, one.text
    return said


async def test_pools_and_queues(prefect: Prefect) -> None:
    said = await prefect.commands(
        "work-pool create shown --type process",
        "work-pool create shown --type process",
        "work-pool set-concurrency-limit shown 4",
        "work-queue create urgent --pool shown --limit 3 --priority 1",
        "work-queue pause urgent --pool shown",
        "work-queue ls --pool shown",
        "work-pool ls",
        "work-pool inspect shown",
        "work-pool pause shown",
        "work-pool ls",
        "work-pool resume shown",
        "work-pool inspect nobody-made-it",
    )
    pool = (await prefect.api.get("/work_pools/shown")).json()
    created, again, _, _, _, queues, pools, inspected, paused, pools_then, resumed, nothing = said
    assert "Created work pool 'shown'" in created.text
    assert (again.status, "already exists" in again.text) == (1, True)
    assert queues.rows() == [["urgent (**)", "1", "3"], ["default", "2", "None"]]
    assert ["shown", "process", pool["id"], "4"] in pools.rows()
    assert "name='shown'" in inspected.text
    assert "concurrency_limit=4" in inspected.text
    assert "WorkPoolStatus.NOT_READY" in inspected.text
    assert "Paused work pool 'shown'" in paused.text
    assert ["shown (**)", "process", pool["id"], "4"] in pools_then.rows()
    assert "Resumed work pool 'shown'" in resumed.text
    assert (nothing.status, "not found" in nothing.text) == (1, True)
    succeeded([said[2], said[3], said[4]])
    assert (pool["status"], pool["is_paused"]) == ("NOT_READY", False)


async def test_deployments_and_their_schedules(prefect: Prefect) -> None:
    deployment = await prefect.deploy("shown", "nightly", tags=["night"])
    name = "shown/nightly"
    found, inspected, *_, schedules = succeeded(
        await prefect.commands(
            "deployment ls --flow-name shown",
            f"deployment inspect {name}",
            f"deployment schedule create {name} --cron '0 7 * * *' --timezone Europe/Berlin",
            f"deployment schedule create {name} --interval 3600",
            f"deployment schedule create {name} --rrule 'FREQ=DAILY;BYHOUR=12'",
            f"deployment schedule ls {name}",
        )
    )
    assert found.rows() == [[name, deployment["id"], ""]]
    assert "'tags': ['night']" in inspected.text
    assert "'status': 'NOT_READY'" in inspected.text
    # The last made is the first; an rrule takes two lines.
    assert [row[1:] for row in schedules.rows()] == [
        ["rrule: DTSTART:20200101T000000", "True"],
        ["FREQ=DAILY;BYHOUR=12", ""],
        ["interval: 1:00:00s", "True"],
        ["cron: 0 7 * * *", "True"],
    ]
    cron = schedules.rows()[-1][0]
    paused, then, resumed, again, cleared, *_ = await prefect.commands(
        f"deployment schedule pause {name} {cron}",
        f"deployment schedule ls {name}",
        f"deployment schedule resume {name} {cron}",
        f"deployment schedule resume {name} {cron}",
        f"--no-prompt deployment schedule clear -y {name}",
    )
    assert "Paused schedule" in paused.text
    assert {row[0]: row[2] for row in then.rows()}[cron] == "False"
    assert [row[2] for row in then.rows()].count("True") == 2
    assert "Resumed schedule" in resumed.text
    assert (again.status, "already active" in again.text) == (1, True)
    assert cleared.status == 0, cleared.text
    assert (await prefect.deployment(name))["schedules"] == []


async def test_runs(prefect: Prefect) -> None:
    await prefect.deploy("listed", "runs")
    run_id = await prefect.run_deployment("listed/runs", tags=["mine"])
    run = await prefect.read_run(run_id)
    listed, of_type, inspected, deleted, gone = await prefect.commands(
        "flow-run ls --flow-name listed",
        "flow-run ls --flow-name listed --state-type COMPLETED",
        f"flow-run inspect {run_id}",
        f"--no-prompt flow-run delete {run_id}",
        f"flow-run inspect {run_id}",
    )
    [row] = listed.rows()
    assert row[:4] == [run_id, "listed", run["name"], "SCHEDULED"]
    assert "No flow runs found" in of_type.text
    assert f"id='{run_id}'" in inspected.text
    assert "tags=['mine']" in inspected.text
    assert "type=StateType.SCHEDULED" in inspected.text
    assert deleted.status == 0, deleted.text
    assert (gone.status, "not found" in gone.text) == (1, True)


async def test_limits(prefect: Prefect) -> None:
    of_tag, listed, inspected, _, _, of_all, *_, then, _, gone = succeeded(
        await prefect.commands(
            "concurrency-limit create shown-tag 3",
            "concurrency-limit ls",
            "concurrency-limit inspect shown-tag",
            "concurrency-limit delete shown-tag",
            "gcl create shown --limit 5 --slot-decay-per-second 0.5",
            "gcl ls",
            "gcl update shown --limit 6",
            "gcl disable shown",
            "gcl ls",
            "--no-prompt gcl delete shown",
            "gcl ls",
        )
    )
    assert "concurrency_limit - 3" in of_tag.text
    [row] = [row for row in listed.rows() if row[0] == "shown-tag"]
    assert row[2:] == ["3", "0"]
    assert f"Concurrency Limit ID: {row[1]}" in inspected.text
    by_name = {row[1]: row[2:6] for row in of_all.rows()}
    assert by_name["shown"] == ["True", "5", "0", "0.5"]
    assert "tag:shown-tag" not in by_name
    assert {row[1]: row[2:6] for row in then.rows()}["shown"] == ["False", "6", "0", "0.5"]
    assert "shown" not in [row[1] for row in gone.rows() if len(row) > 1]


async def test_variables(prefect: Prefect) -> None:
    _, refused, overwritten, listed, inspected, unset, gone = await prefect.commands(
        "variable set shown red",
        "variable set shown green",
        "variable set shown --overwrite green --tag colour",
        "variable ls",
        "variable inspect shown",
        "variable unset shown",
        "variable get shown",
    )
    assert (refused.status, "already exists" in refused.text) == (1, True)
    assert "Set variable 'shown'" in overwritten.text
    assert ["shown", '"green"'] in [row[:2] for row in listed.rows()]
    assert "tags=['colour']" in inspected.text
    assert "Unset variable 'shown'" in unset.text
    assert (gone.status, gone.text.strip()) == (1, "Variable 'shown' not found.")
