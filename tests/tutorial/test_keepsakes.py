"""What a run keeps for later, and the limits that it shares with others."""

from tests.tutorial.conftest import Prefect


async def test_blocks_come_back_with_their_secrets(prefect: Prefect) -> None:
    await prefect.run("keepsakes", "blocks")
    run = await prefect.flow_run("blocks")
    said = [line.message for line in await prefect.logs(run["id"])]
    first = said.index("secret: {'hush': 2}")
    assert said[first : first + 4] == [
        "secret: {'hush': 2}",
        "files: /tmp/somewhere",
        "mailbox: me hush",
        "missing: ValueError",
    ]
    shown = (await prefect.api.post("/block_documents/filter", json={})).json()
    assert [document["name"] for document in shown] == ["files", "login", "mailbox", "mine"]
    masked = {document["name"]: document["data"] for document in shown}
    assert masked["mine"] == {"value": "********"}
    assert masked["mailbox"]["login"]["password"] == "********"
    assert "secret/mine" in await prefect.command("block", "ls")


async def test_the_newest_artifact_of_a_key_is_shown(prefect: Prefect) -> None:
    await prefect.run("keepsakes", "artifacts")
    run = await prefect.flow_run("artifacts")
    latest = (await prefect.api.post("/artifacts/latest/filter", json={"sort": "KEY_ASC"})).json()
    assert [(artifact["key"], artifact["data"]) for artifact in latest] == [
        ("progress", 75.0),
        ("report", "# second"),
        ("table", '[{"a": 1}, {"a": 2}]'),
    ]
    assert {artifact["flow_run_id"] for artifact in latest} == {run["id"]}
    found = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    assert (await prefect.api.post("/artifacts/count", json=found)).json() == 4
    assert "report" in await prefect.command("artifact", "ls")


async def test_task_runs_share_the_slots_of_their_tag(prefect: Prefect) -> None:
    await prefect.command("concurrency-limit", "create", "scarce", "2")
    await prefect.command(
        "global-concurrency-limit",
        "create",
        "two-a-second",
        "--limit",
        "1",
        "--slot-decay-per-second",
        "2",
    )
    await prefect.run("keepsakes", "slots")
    run = await prefect.flow_run("slots")
    said = [line.message for line in await prefect.logs(run["id"])]
    assert "scarce: [0, 1, 2, 3]" in said
    marks = [(float(mark[1]), mark[0]) for mark in map(str.split, said) if len(mark) == 2]
    inside = most = 0
    for _, what in sorted(mark for mark in marks if mark[1] in {"enter", "leave"}):
        inside += 1 if what == "enter" else -1
        most = max(most, inside)
    assert (most, inside) == (2, 0)
    passed = sorted(when for when, what in marks if what == "passed")
    # The slot is back half a second after it was taken, thrice; the clocks are not the same.
    assert len(passed) == 4
    assert passed[-1] - passed[0] > 1
    limit = (await prefect.api.get("/v2/concurrency_limits/tag:scarce")).json()
    assert limit["active_slots"] == 0
    acquired = {
        "filter": {
            "event": {"name": ["prefect.concurrency-limit.acquired"]},
            "resource": {"labels": {"prefect.resource.name": "tag:scarce"}},
        }
    }
    assert (await prefect.api.post("/events/filter", json=acquired)).json()["total"] == 4
