"""Flows: the list with search and tags, a flow's own page, and its end."""

import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Page, expect

from tests.tutorial.conftest import Prefect
from tests.ui.conftest import Axe, Complaints, Site


async def make_flow(site: Site, name: str, *tags: str) -> str:
    """A flow of this name; gives its id."""
    response = await site.api.post("/flows/", json={"name": name, "tags": list(tags)})
    assert response.status_code == 201, response.text
    flow_id: str = response.json()["id"]
    return flow_id


async def make_runs(site: Site, flow_id: str, *states: str) -> None:
    """A run of the flow in each of these states, one after the other."""
    for state in states:
        response = await site.api.post(
            "/flow_runs/", json={"flow_id": flow_id, "state": {"type": state}}
        )
        assert response.status_code == 201, response.text


async def test_a_flow_that_ran_is_found_with_its_run_and_leads_to_it(
    site: Site, page: Page, prefect: Prefect, axe: Axe
) -> None:
    before = {run["id"] for run in await prefect.flow_runs("orders")}
    await prefect.run("orders")
    [run] = [run for run in await prefect.flow_runs("orders") if run["id"] not in before]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await page.goto("/flows")
    await page.get_by_label("Search flows").fill("rders")
    await expect(page).to_have_url(re.compile(r"q=rders"))
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="orders", exact=True))
    await expect(row.get_by_role("link", name=f"{run['name']} Completed")).to_be_visible()
    # Other tests run it too.
    count = len(before) + 1
    history = f"Last {count} runs: {count} completed"
    await expect(row.get_by_role("img", name=history)).to_be_visible()
    # However many flows are listed, their runs are one question.
    assert "/api/flow_runs/filter" not in asked
    assert await axe(page) == []

    await row.get_by_role("link", name="orders", exact=True).click()
    await expect(page.get_by_role("heading", name="orders", level=1)).to_be_visible()
    last = page.get_by_role("table", name="Last runs")
    await expect(last.get_by_role("link", name=run["name"])).to_have_count(count)
    assert await axe(page) == []
    await page.get_by_role("link", name="All runs").click()
    await expect(page).to_have_url(re.compile(rf"/runs\?flow={run['flow_id']}"))


async def test_tags_and_words_narrow_the_list_and_stay_in_the_address(
    site: Site, page: Page
) -> None:
    word = uuid.uuid4().hex[:8]
    await make_flow(site, f"{word}-one", f"red-{word}")
    await make_flow(site, f"{word}-two", f"red-{word}", "blue")
    await make_flow(site, f"{word}-three", "blue")
    flows = page.get_by_role("table", name="Flows").get_by_role("link")
    await page.goto(f"/flows?q={word}")
    await expect(flows).to_have_text([f"{word}-one", f"{word}-three", f"{word}-two"])
    await page.get_by_role("button", name=f"red-{word}").first.click()
    await expect(flows).to_have_text([f"{word}-one", f"{word}-two"])
    await page.get_by_role("button", name="blue", exact=True).click()
    await expect(flows).to_have_text([f"{word}-two"])
    # Both are there after a reload, and on the way back.
    await page.reload()
    await expect(flows).to_have_text([f"{word}-two"])
    await page.get_by_label("Places").get_by_role("link", name="Jobs").click()
    await page.go_back()
    await expect(flows).to_have_text([f"{word}-two"])
    await page.get_by_role("button", name="No longer only with the tag blue").click()
    await expect(flows).to_have_text([f"{word}-one", f"{word}-two"])
    await page.get_by_role("button", name=f"No longer only with the tag red-{word}").click()
    await expect(flows).to_have_count(3)
    await page.get_by_label("Search flows").fill(f"{word}-nothing")
    await expect(page.get_by_role("heading", name="No flow matches")).to_be_visible()


async def test_the_list_is_walked_by_keys_alone(site: Site, page: Page) -> None:
    word = uuid.uuid4().hex[:8]
    await make_flow(site, f"{word}-a")
    flow_id = await make_flow(site, f"{word}-b")
    await page.goto("/flows")
    await expect(page.get_by_role("table", name="Flows")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type(word)
    flows = page.get_by_role("table", name="Flows").get_by_role("link")
    await expect(flows).to_have_count(2)
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await expect(flows.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("j")
    await expect(flows.nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(flow_id))


async def test_a_flow_is_deleted_with_its_runs_once_somebody_said_so(
    site: Site, page: Page, complaints: Complaints
) -> None:
    name = f"doomed-{uuid.uuid4().hex[:8]}"
    flow_id = await make_flow(site, name)
    await make_runs(site, flow_id, "COMPLETED", "FAILED")
    await page.goto(f"/flows/{flow_id}")
    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name=f"Delete the flow {name}?")
    await expect(dialog).to_contain_text("all its runs (2)")
    await dialog.get_by_role("button", name="Cancel").click()
    assert (await site.api.get(f"/flows/{flow_id}")).status_code == 200

    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete flow").click()
    await expect(page.get_by_text(f"Flow {name} was deleted.")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/flows$"))
    assert (await site.api.get(f"/flows/{flow_id}")).status_code == 404
    complaints.allow("404")
    await page.goto(f"/flows/{flow_id}")
    await expect(page.get_by_role("heading", name="There is no such flow")).to_be_visible()


async def test_flows_look_right_at_every_width(
    site: Site, page: Page, screenshots: Callable[[Page, str], Awaitable[list[Path]]]
) -> None:
    name = f"seen-{uuid.uuid4().hex[:8]}"
    flow_id = await make_flow(site, name, "etl")
    await make_runs(site, flow_id, "COMPLETED", "FAILED", "RUNNING")
    await page.goto(f"/flows?q={name}")
    await expect(page.get_by_role("img", name=re.compile("Last 3 runs"))).to_be_visible()
    assert len(await screenshots(page, "flows")) == 6
    await page.goto(f"/flows/{flow_id}")
    await expect(page.get_by_role("table", name="Last runs")).to_be_visible()
    assert len(await screenshots(page, "flow")) == 6
    # Nothing but tables may be wider than a phone.
    await page.set_viewport_size({"width": 380, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380
