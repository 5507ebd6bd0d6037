"""The list of runs: filtered from the address, scrolled through, and acted on many at a time."""

import datetime as dt
import re
import uuid
from typing import Any

import asyncpg
from playwright.async_api import Locator, Page, expect

from tests.ui.conftest import REFUSED, Axe, Complaints, Site

TOMORROW = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
# Many runs at once are written as rows: the list reads them, whoever made them.
MANY = """
WITH made AS (
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS state_id, number,
        now() - interval '1 h' - number * interval '1 s' AS start
    FROM generate_series(1, $2) AS number
), runs AS (
    INSERT INTO flow_run (id, created, updated, name, flow_id, parameters, context, empirical_policy,
        tags, labels, state_id, state_type, state_name, state_timestamp, run_count,
        expected_start_time, start_time, end_time, total_run_time)
    SELECT id, start, start, $3 || lpad(number::text, 5, '0'), $1, '{}', '{}', '{}', '{}', '{}',
        state_id, 'COMPLETED', 'Completed', start, 1, start, start, start, 1 FROM made
    RETURNING id
)
INSERT INTO flow_run_state (id, flow_run_id, created, type, name, timestamp, state_details)
SELECT state_id, made.id, start, 'COMPLETED', 'Completed', start, '{}' FROM made
JOIN runs ON runs.id = made.id
"""

# What is in sight then is drawn with the next frame.
SCROLLED_BY_A_PAGE = """async (table) => {
    table.scrollBy(0, table.clientHeight);
    for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
}"""


async def _post(site: Site, path: str, body: object) -> Any:
    response = await site.api.post(path, json=body)
    assert response.is_success, response.text
    return response.json()


async def _flow(site: Site) -> str:
    flow_id: str = (await _post(site, "/flows/", {"name": f"listed-{uuid.uuid4().hex}"}))["id"]
    return flow_id


async def _run(site: Site, flow_id: str, name: str, state: str, **more: object) -> str:
    body = {"flow_id": flow_id, "name": name, "state": {"type": state}, **more}
    run_id: str = (await _post(site, "/flow_runs/", body))["id"]
    return run_id


async def _waiting_runs(site: Site, flow_id: str, names: list[str]) -> None:
    """Runs of a deployment that are due tomorrow."""
    made = await _post(site, "/deployments/", {"name": "listed", "flow_id": flow_id})
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": TOMORROW}}
    for name in names:
        await _post(
            site, f"/deployments/{made['id']}/create_flow_run", {"name": name, "state": state}
        )


async def _many(site: Site, flow_id: str, count: int, prefix: str) -> None:
    connection = await asyncpg.connect(site.config.database_url)
    try:
        await connection.execute(MANY, uuid.UUID(flow_id), count, prefix)
    finally:
        await connection.close()


async def _states(site: Site, flow_id: str) -> dict[str, str]:
    """State names of the runs of a flow, by name of the run."""
    runs = await _post(site, "/flow_runs/filter", {"flows": {"id": {"any_": [flow_id]}}})
    return {run["name"]: run["state_name"] for run in runs}


def _names(page: Page) -> Locator:
    return page.get_by_role("table", name="Flow runs").locator(".name a:first-child")


async def test_a_filter_is_in_the_address_and_shows_the_same_when_opened_again(
    site: Site, page: Page, axe: Axe
) -> None:
    flow_id = await _flow(site)
    tag = f"{uuid.uuid4().hex[:8]}, b"
    for name, state, tags in (
        ("red-one", "FAILED", [tag]),
        ("red-two", "FAILED", ["c"]),
        ("green-one", "COMPLETED", [tag]),
    ):
        await _run(site, flow_id, name, state, tags=tags)
    await page.goto(f"/runs?flow={flow_id}")
    await expect(_names(page)).to_have_count(3)

    await page.get_by_role("button", name="State").click()
    await page.get_by_role("checkbox", name="Failed").check()
    await page.keyboard.press("Escape")
    await expect(_names(page)).to_have_text(["red-two", "red-one"])
    await page.get_by_role("button", name="Tag").click()
    # Suggested from all runs, those that are not listed included.
    await page.get_by_role("searchbox", name="Find tag").fill(tag[:-3])
    await page.get_by_role("checkbox", name=tag).check()
    await page.keyboard.press("Escape")
    await page.get_by_role("combobox", name="Time of start").select_option("Last hour")
    await expect(_names(page)).to_have_text(["red-one"])
    assert await axe(page) == []

    address = page.url
    await page.goto("/jobs")
    await page.goto(address)
    await expect(_names(page)).to_have_text(["red-one"])
    await expect(page.get_by_role("button", name="State: Failed")).to_be_visible()
    await expect(page.get_by_role("button", name=f"Tag: {tag}")).to_be_visible()
    await expect(page.get_by_role("status").first).to_have_text("1 run")

    await page.get_by_role("button", name="Clear all").click()
    await page.keyboard.press("/")
    await page.keyboard.type("green-one")
    await expect(page).to_have_url(re.compile("q=green-one"))
    await page.go_back()
    await expect(_names(page)).to_have_text(["red-one"])


async def test_a_filter_is_saved_for_everybody(site: Site, page: Page) -> None:
    flow_id = await _flow(site)
    await _run(site, flow_id, "kept", "CRASHED")
    name = f"crashed {flow_id}"
    await page.goto(f"/runs?flow={flow_id}&state=CRASHED")
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("textbox", name="Name", exact=True).fill(name)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()

    await page.goto("/runs")
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("button", name=name, exact=True).click()
    await expect(_names(page)).to_have_text(["kept"])
    assert f"flow={flow_id}" in page.url


async def test_a_long_list_is_read_on_as_it_is_scrolled_and_what_is_new_does_not_move_it(
    site: Site, page: Page
) -> None:
    flow_id = await _flow(site)
    await _many(site, flow_id, 1500, "long-")
    await page.goto(f"/runs?flow={flow_id}")
    table = page.get_by_role("table", name="Flow runs")
    await expect(table).to_have_attribute("aria-rowcount", "1501")
    read: set[str] = set()
    while "long-01500" not in read:
        read.update(await _names(page).all_inner_texts())
        await table.evaluate(SCROLLED_BY_A_PAGE)
    assert len(read) == 1500

    await table.evaluate("(table) => table.scrollTo(0, 0)")
    await expect(_names(page).first).to_have_text("long-00001")
    await _run(site, flow_id, "newest", "RUNNING")
    newer = page.get_by_role("button", name="1 newer run")
    await expect(newer).to_be_visible()
    await expect(_names(page).first).to_have_text("long-00001")
    await newer.click()
    await expect(_names(page).first).to_have_text("newest")


async def test_runs_are_selected_by_key_and_by_range_then_cancelled_and_retried_and_deleted(
    site: Site, page: Page, complaints: Complaints
) -> None:
    # One of them is on hold: deleting it is refused.
    complaints.allow(REFUSED.pattern)
    flow_id = await _flow(site)
    names = [f"many-{number}" for number in range(4)]
    await _waiting_runs(site, flow_id, names)
    held = await _run(site, flow_id, "held", "COMPLETED")
    assert (await site.api.put(f"/tailrace/holds/{held}", json={"reason": "court"})).is_success
    await page.goto(f"/runs?flow={flow_id}&time=any&sort=NAME_DESC")
    await expect(_names(page)).to_have_text([*reversed(names), "held"])

    # The first by its key, up to the last but one by a click with shift.
    await page.keyboard.press("j")
    await expect(_names(page).first).to_be_focused()
    await page.keyboard.press("x")
    await page.get_by_role("checkbox", name="Select many-0").click(modifiers=["Shift"])
    bar = page.get_by_role("toolbar", name="Selected runs")
    await expect(bar).to_contain_text("4 selected")
    await bar.get_by_role("button", name="Cancel runs").click()
    dialog = page.get_by_role("dialog", name="Cancel 4 runs?")
    await dialog.get_by_role("button", name="Cancel 4 runs").click()
    await expect(page.get_by_text("4 runs cancelled.")).to_be_visible()
    await expect(page.get_by_role("cell", name="Cancelled")).to_have_count(4)
    assert set((await _states(site, flow_id)).values()) == {"Cancelled", "Completed"}

    await page.get_by_role("checkbox", name="Select all that are listed").check()
    await bar.get_by_role("button", name="Retry").click()
    await page.get_by_role("button", name="Retry 5 runs").click()
    told = page.get_by_role("dialog", name="Not all of them")
    await expect(told).to_contain_text("4 runs to be run again, 1 run not")
    await expect(told).to_contain_text(
        "held Cannot reschedule a run without an associated deployment"
    )
    await told.get_by_role("button", name="Close").last.click()
    assert (await _states(site, flow_id))["many-2"] == "AwaitingRetry"

    await page.get_by_role("checkbox", name="Select all that are listed").check()
    await bar.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete 5 runs").click()
    await expect(told).to_contain_text("4 runs deleted, 1 run not")
    await told.get_by_role("button", name="Close").last.click()
    await expect(_names(page)).to_have_text(["held"])
    assert list(await _states(site, flow_id)) == ["held"]


async def test_keys_lead_to_a_run_and_back(site: Site, page: Page) -> None:
    flow_id = await _flow(site)
    for name in ("first", "second"):
        await _run(site, flow_id, name, "COMPLETED")
    await page.goto(f"/runs?flow={flow_id}&sort=NAME_ASC")
    await expect(_names(page)).to_have_text(["first", "second"])
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(_names(page).last).to_be_focused()
    await page.keyboard.press("o")
    await expect(page.get_by_role("heading", name="second")).to_be_visible()
    await page.go_back()
    await expect(_names(page)).to_have_text(["first", "second"])


async def test_a_list_that_cannot_be_read_anymore_says_since_when(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow(REFUSED.pattern)
    flow_id = await _flow(site)
    await _run(site, flow_id, "still-here", "COMPLETED")
    await page.goto(f"/runs?flow={flow_id}")
    await expect(_names(page)).to_have_text(["still-here"])
    await page.route("**/api/**", lambda route: route.abort())
    failed = page.get_by_role("alert").filter(has_text="since then the runs could not be read")
    await expect(failed).to_contain_text("The server does not answer")
    await expect(_names(page)).to_have_text(["still-here"])
    await page.unroute("**/api/**")
    await failed.get_by_role("button", name="Try again").click()
    await expect(failed).to_be_hidden()


async def test_a_narrow_window_shows_the_same_runs_and_an_unknown_filter_none(
    site: Site, page: Page, axe: Axe
) -> None:
    flow_id = await _flow(site)
    await _run(site, flow_id, "narrow", "FAILED")
    await page.set_viewport_size({"width": 380, "height": 700})
    await page.goto(f"/runs?flow={flow_id}")
    await expect(_names(page)).to_have_text(["narrow"])
    assert await page.evaluate("document.documentElement.scrollWidth") == 380
    assert await axe(page) == []
    await page.goto(f"/runs?flow={flow_id}&state=CRASHED")
    await expect(page.get_by_role("heading", name="No run is like that")).to_be_visible()
