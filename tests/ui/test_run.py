"""A run's page: what it tells of a run, and what a person does to one."""

import datetime as dt
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.tutorial.conftest import Prefect
from tests.ui.conftest import REFUSED, Axe, Complaints, Site

TABS = (
    "Logs",
    "Timeline",
    "Task runs",
    "Subflow runs",
    "States",
    "Artifacts",
    "Parameters",
    "Details",
)
# A run of so many tasks, each of which took what the one twenty before it gave.
TASKS = """
WITH made AS (
    SELECT number, gen_random_uuid() AS state_id,
        ('00000000-0000-4000-8000-' || lpad((number + $2::bigint)::text, 12, '0'))::uuid AS id,
        now() - interval '1 h' + number / 20 * interval '14 s' AS start,
        CASE WHEN number < 20 THEN '{}'::jsonb ELSE jsonb_build_object('x', jsonb_build_array(
            jsonb_build_object('input_type', 'task_run', 'id',
                '00000000-0000-4000-8000-' || lpad((number + $2::bigint - 20)::text, 12, '0')))) END AS inputs
    FROM generate_series(0, 4999) AS number
), runs AS (
    INSERT INTO task_run (id, created, updated, name, flow_run_id, task_key, dynamic_key,
        empirical_policy, task_inputs, tags, labels, state_id, state_type, state_name,
        state_timestamp, run_count, expected_start_time, start_time, end_time, total_run_time)
    SELECT id, start, start, 'step-' || number, $1, 'step', number::text, '{}', inputs, '{}', '{}',
        state_id, 'COMPLETED', 'Completed', start, 1, start, start, start + interval '9 s', 9
    FROM made RETURNING id
)
INSERT INTO task_run_state (id, task_run_id, created, type, name, timestamp, state_details)
SELECT state_id, made.id, start, 'COMPLETED', 'Completed', start, '{}' FROM made
JOIN runs ON runs.id = made.id
"""
# How many of a canvas's pixels are of the colour of what is completed.
COMPLETED_PIXELS = """(canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4)
        if (data[at] === 0x1d && data[at + 1] === 0x8a && data[at + 2] === 0x4c) found += 1;
    return found;
}"""


async def _make_run(site: Site, state: str, **more: object) -> str:
    flow = await site.api.post("/flows/", json={"name": f"shown-{uuid.uuid4().hex}"})
    body = {"flow_id": flow.json()["id"], "state": {"type": state}, **more}
    made = await site.api.post("/flow_runs/", json=body)
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


async def _tab(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=name, exact=True).click()
    await expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute(
        "aria-selected", "true"
    )


async def test_a_run_of_the_client_is_told_in_all_its_tabs(
    prefect: Prefect, page: Page, axe: Axe
) -> None:
    before = {run["id"] for run in await prefect.flow_runs("orders")}
    await prefect.run("orders")
    [run] = [run for run in await prefect.flow_runs("orders") if run["id"] not in before]
    await page.goto(f"/runs/{run['id']}")
    await expect(page.get_by_role("heading", name="orders-of-today")).to_be_visible()
    panel = page.get_by_role("tabpanel")
    await expect(panel.get_by_text("orders begin")).to_be_visible()
    # As tests of the log view look at it, its own violations are theirs.
    for name in TABS[1:]:
        await _tab(page, name)
        if name == "Timeline":
            await expect(panel.get_by_text("22 task and subflow runs")).to_be_visible()
        elif name == "Task runs":
            await expect(panel.get_by_text("22 task runs")).to_be_visible()
        elif name == "Subflow runs":
            await expect(panel.get_by_text("invoice", exact=True)).to_be_visible()
        elif name == "States":
            await expect(panel.get_by_role("listitem")).to_have_count(3)
            await expect(panel.get_by_text("The flow itself").first).to_be_visible()
        elif name == "Artifacts":
            await expect(panel.get_by_text("The run left no artifacts.")).to_be_visible()
        elif name == "Parameters":
            await expect(panel.get_by_text("count: 20")).to_be_visible()
        else:
            await expect(panel.get_by_role("row", name="Flow run id")).to_contain_text(run["id"])
        assert await axe(page) == [], name

    # The tab is in the address; the subflow leads back to its parent.
    await page.goto(f"/runs/{run['id']}?tab=subflows")
    await page.get_by_role("table", name="Flow runs").locator(".name a").first.click()
    await expect(page.get_by_text("Parent run")).to_be_visible()
    await page.get_by_role("link", name="orders-of-today").click()
    await expect(page.get_by_role("heading", name="orders-of-today")).to_be_visible()

    # A task's lines are the log with that task alone.
    await _tab(page, "Task runs")
    task = page.get_by_role("link", name=re.compile("^fetch"))
    await task.click()
    await expect(page).to_have_url(re.compile(r"task="))
    await expect(panel.get_by_text("fetching order 0")).to_be_visible()
    await expect(panel.get_by_text("orders begin")).to_be_hidden()


async def test_artifacts_are_shown_and_what_others_wrote_cannot_act(site: Site, page: Page) -> None:
    run_id = await _make_run(site, "COMPLETED")
    markdown = (
        '# Report\n\n**bold** <b onclick="x()">raw</b> [good](https://example.org)'
        " [bad](javascript:alert(1)) ![far](https://example.org/x.png)\n\n| a |\n|--:|\n| 1 |\n"
    )
    for key, type_, data in (
        ("report", "markdown", markdown),
        ("numbers", "table", '[{"x": 1}, {"x": 2, "y": "z"}]'),
        ("way", "progress", 42.5),
        ("picture", "image", "https://example.org/y.png"),
    ):
        body = {"key": key, "type": type_, "data": data, "flow_run_id": run_id}
        assert (await site.api.post("/artifacts/", json=body)).is_success
    await page.goto(f"/runs/{run_id}?tab=artifacts")
    panel = page.get_by_role("tabpanel")
    await expect(panel.get_by_role("heading", name="Report", exact=True)).to_be_visible()
    await expect(panel.get_by_text('<b onclick="x()">raw</b>')).to_be_visible()
    links = panel.get_by_role("link")
    assert [await link.get_attribute("href") for link in await links.all()] == [
        "https://example.org/y.png",
        "https://example.org/",
        "https://example.org/x.png",
    ]
    await expect(panel.get_by_role("region", name="numbers").get_by_role("row")).to_have_text(
        [re.compile("x *y"), re.compile("1"), re.compile("2 *z")]
    )
    await expect(panel.get_by_role("progressbar")).to_have_attribute("value", "42.5")


@pytest.mark.timeout(300)
async def test_a_run_is_cancelled_from_its_page_and_its_process_ends(
    prefect: Prefect, page: Page, eventually: Callable[..., Awaitable[None]]
) -> None:
    async with prefect.server_of("on_call") as agent:
        await agent.says("are being served")
        run_id = await prefect.run_deployment(
            "deployed/on-call", parameters={"number": 1, "seconds": 120}
        )
        process = Path("/proc") / (await prefect.says(run_id, "process ")).message.split()[1]
        await page.goto(f"/runs/{run_id}?tab=states")
        await page.get_by_role("button", name="Cancel run").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
        await expect(page.get_by_text("The run is told to stop.")).to_be_visible()
        # The page follows by itself.
        states = page.get_by_role("tabpanel").get_by_role("listitem")
        await expect(states.filter(has_text="Cancelled")).to_be_visible(timeout=60_000)
        await expect(states.filter(has_text="Cancelling")).to_contain_text("A person")
        await expect(page.get_by_role("button", name="Cancel run")).to_be_hidden()

        async def has_ended() -> bool:
            return not process.exists()

        await eventually(has_ended, within=40)


@pytest.mark.timeout(300)
async def test_a_paused_run_goes_on_with_what_its_form_was_given(
    prefect: Prefect, page: Page, axe: Axe
) -> None:
    async with prefect.server_of("on_call") as agent:
        await agent.says("are being served")
        run_id = await prefect.run_deployment("pausing/on-call")
        await prefect.reaches(run_id, "Paused")
        await page.goto(f"/runs/{run_id}?tab=details")
        await page.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog", name="Resume")
        await dialog.get_by_role("button", name="Resume").click()
        await prefect.says(run_id, "goes on")
        await prefect.reaches(run_id, "Paused")

        await page.get_by_role("button", name="Resume").click(timeout=30_000)
        await expect(dialog.get_by_role("textbox", name="colour")).to_be_visible(timeout=30_000)
        await dialog.get_by_role("textbox", name="count").fill("many")
        await dialog.get_by_role("button", name="Resume with this").click()
        await expect(dialog.get_by_text("Required")).to_be_visible()
        await expect(dialog.get_by_text("Is not of type integer")).to_be_visible()
        await expect(dialog.get_by_role("textbox", name="colour")).to_be_focused()
        assert await axe(page) == []
        await dialog.get_by_role("textbox", name="colour").fill("red")
        await dialog.get_by_role("textbox", name="count").fill("3")
        await dialog.get_by_role("button", name="Resume with this").click()
        await expect(dialog).to_be_hidden()
        await prefect.says(run_id, "answer: red 3")


@pytest.mark.parametrize(
    ("action", "name", "rescheduled"), [("Pause", "Paused", False), ("Suspend", "Suspended", True)]
)
async def test_a_running_run_is_paused_or_suspended_from_its_page(
    site: Site, page: Page, action: str, name: str, rescheduled: bool
) -> None:
    flow = await site.api.post("/flows/", json={"name": f"shown-{uuid.uuid4().hex}"})
    body = {"name": "paused", "flow_id": flow.json()["id"]}
    deployment = (await site.api.post("/deployments/", json=body)).json()["id"]
    run = (await site.api.post(f"/deployments/{deployment}/create_flow_run", json={})).json()
    for state in ("PENDING", "RUNNING"):
        body = {"state": {"type": state}, "force": True}
        assert (
            await site.api.post(f"/flow_runs/{run['id']}/set_state", json=body)
        ).status_code == 201
    await page.goto(f"/runs/{run['id']}?tab=states")
    await page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog", name=f"{action} this run?")
    await dialog.get_by_label("Hours to wait").fill("2")
    await dialog.get_by_role("button", name=action, exact=True).click()
    await expect(page.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    state = (await site.api.get(f"/flow_runs/{run['id']}")).json()["state"]
    assert (state["type"], state["name"]) == ("PAUSED", name)
    assert state["state_details"]["pause_reschedule"] is rescheduled
    ends = dt.datetime.fromisoformat(state["state_details"]["pause_timeout"])
    hours = (ends - dt.datetime.fromisoformat(state["timestamp"])) / dt.timedelta(hours=1)
    assert 1.9 < hours < 2.1


async def test_a_held_run_is_kept_until_it_is_released_and_deleted(site: Site, page: Page) -> None:
    run_id = await _make_run(site, "COMPLETED", name="evidence")
    await page.goto(f"/runs/{run_id}")
    await page.get_by_role("button", name="Hold").click()
    await page.get_by_role("textbox", name="Reason").fill("the auditor asked")
    await page.get_by_role("dialog").get_by_role("button", name="Hold").click()
    await expect(page.get_by_text("Held", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    assert (await site.api.delete(f"/flow_runs/{run_id}")).status_code == 409

    await page.reload()
    await page.get_by_role("button", name="Release hold").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("the auditor asked")
    await dialog.get_by_role("button", name="Release").click()
    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page).to_have_url(re.compile("/runs$"))
    assert (await site.api.get(f"/flow_runs/{run_id}")).status_code == 404


async def test_a_timeline_of_five_thousand_tasks_is_drawn_at_once_and_scrolled_through(
    site: Site, page: Page, axe: Axe
) -> None:
    run_id = await _make_run(site, "COMPLETED")
    connection = await asyncpg.connect(site.config.database_url)
    first = uuid.uuid4().int % 10**8 * 10_000
    try:
        await connection.execute(TASKS, uuid.UUID(run_id), first)
    finally:
        await connection.close()
    await page.goto(f"/runs/{run_id}?tab=parameters")
    await expect(page.get_by_text("The run has no parameters.")).to_be_visible()
    canvas = page.locator("canvas")
    begun = time.monotonic()
    await page.get_by_role("tab", name="Timeline").click()
    await canvas.wait_for()
    while await canvas.evaluate(COMPLETED_PIXELS) < 100:
        # The goal is a second where nothing else runs; here another worker's tests do.
        assert time.monotonic() - begun < 3
    timeline = page.get_by_role("application", name=re.compile("Timeline"))
    chosen = page.locator("#timeline-chosen")
    await timeline.focus()
    await page.keyboard.press("End")
    await expect(chosen).to_contain_text("step-49")
    await expect(chosen).to_contain_text("waited for 1, 0 waited for it")
    assert await timeline.evaluate("(element) => element.scrollTop") > 100_000

    # Rows in sight are drawn wherever it is scrolled to, also closer.
    few = await canvas.evaluate(COMPLETED_PIXELS)
    assert few > 0
    await page.keyboard.press("f")
    await page.wait_for_function(
        f"(before) => ({COMPLETED_PIXELS})(document.querySelector('canvas')) > before * 5", arg=few
    )
    frames = await timeline.evaluate(
        """async (element) => {
            const spans = [];
            let before = performance.now();
            for (let at = 0; at < 60; at += 1) {
                element.scrollTop = (at / 60) * element.scrollHeight;
                await new Promise(requestAnimationFrame);
                spans.push(performance.now() - before);
                before = performance.now();
            }
            return spans;
        }"""
    )
    assert max(frames) < 1000

    # Two fingers that part zoom; one of them stays at the first tasks.
    await timeline.focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("0")
    await page.wait_for_function(
        f"() => ({COMPLETED_PIXELS})(document.querySelector('canvas')) < 5000"
    )
    few = await canvas.evaluate(COMPLETED_PIXELS)
    box = await canvas.bounding_box()
    assert box
    fingers = await page.context.new_cdp_session(page)
    for kind, right in (("Start", 280), ("Move", 320), ("Move", 700), ("End", None)):
        points = [
            {"x": box["x"] + x, "y": box["y"] + 60, "id": finger}
            for finger, x in enumerate((236, right) if right else ())
        ]
        body = {"type": f"touch{kind}", "touchPoints": points}
        await fingers.send("Input.dispatchTouchEvent", body)
    await page.wait_for_function(
        f"(before) => ({COMPLETED_PIXELS})(document.querySelector('canvas')) > before * 3", arg=few
    )

    # The same as a table, all of whose rows are counted and few of which are there.
    await page.get_by_role("button", name="As a table").click()
    table = page.get_by_role("table", name="Timeline")
    await expect(table).to_have_attribute("aria-rowcount", "5001")
    await expect(table.get_by_role("row").nth(1)).to_contain_text("step-0")
    assert await table.get_by_role("row").count() < 100
    assert await axe(page) == []
    scroller = page.get_by_role("region", name="Timeline")
    await scroller.evaluate("(element) => element.scrollTo(0, element.scrollHeight)")
    last = table.get_by_role("row", name="step-4999")
    await expect(last).to_contain_text("Completed")
    await expect(last).to_contain_text("step-4979")
    await page.get_by_role("button", name="As a table").click()

    await timeline.focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"\?task="))


async def test_a_run_that_is_gone_is_said_to_be_and_one_that_cannot_be_read_stays(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow(REFUSED.pattern)
    await page.goto(f"/runs/{uuid.uuid4()}")
    await expect(page.get_by_role("heading", name="No such run")).to_be_visible()
    await page.goto("/runs/not-an-id")
    await expect(page.get_by_role("heading", name="No such run")).to_be_visible()

    run_id = await _make_run(site, "RUNNING", name="out-of-sight")
    await page.goto(f"/runs/{run_id}?tab=details")
    await expect(page.get_by_role("heading", name="out-of-sight")).to_be_visible()
    await page.route("**/api/**", lambda route: route.abort())
    stale = page.get_by_role("alert").filter(has_text="since then the run could not be read")
    await expect(stale).to_be_visible()
    await expect(page.get_by_role("heading", name="out-of-sight")).to_be_visible()
    await page.unroute("**/api/**")
    await expect(stale).to_be_hidden()


async def test_a_run_that_changes_is_followed(site: Site, page: Page) -> None:
    run_id = await _make_run(site, "RUNNING")
    await page.goto(f"/runs/{run_id}?tab=states")
    await expect(page.get_by_role("tabpanel").get_by_role("listitem")).to_have_count(1)
    body: dict[str, Any] = {"state": {"type": "FAILED", "message": "no more bread"}}
    assert (await site.api.post(f"/flow_runs/{run_id}/set_state", json=body)).is_success
    await expect(page.get_by_role("tabpanel").get_by_text("no more bread")).to_be_visible()
    # Arrows lead from tab to tab.
    await page.get_by_role("tab", name="States").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Artifacts")).to_be_focused()
    await expect(page).to_have_url(re.compile("tab=artifacts"))
