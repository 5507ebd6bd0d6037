"""What the archive holds, how long it is kept, and whether it is whole."""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from app.services import open_services
from storage.errors import Conflict
from storage.logs.offload import offload_pass
from tests.ui.conftest import Axe, Complaints, Site
from tests.ui.log_runs import make_run, post_lines

MONTHS_AGO = dt.timedelta(days=90)


async def old_run(site: Site, flow: str, lines: int) -> str:
    """A run of this flow that ended, with lines of three months ago; gives its name."""
    made = await site.api.post("/flows/", json={"name": flow})
    name = f"{flow}-run"
    run = await site.api.post(
        "/flow_runs/",
        json={"flow_id": made.json()["id"], "name": name, "state": {"type": "COMPLETED"}},
    )
    then = dt.datetime.now(dt.UTC) - MONTHS_AGO
    posted = await site.api.post(
        "/logs/",
        json=[
            {
                "name": "app",
                "level": 20,
                "message": f"old line {index}",
                "timestamp": (then + dt.timedelta(seconds=index)).isoformat(),
                "flow_run_id": run.json()["id"],
            }
            for index in range(lines)
        ],
    )
    assert posted.status_code == 201
    return name


async def offload(site: Site) -> None:
    """Move all hot lines to S3; the jobs of the site may be at it too."""
    async with open_services(site.config) as services, asyncio.timeout(10):
        while True:
            with contextlib.suppress(Conflict):
                if not (await offload_pass(services.pool, services.objects, force=True)).rows:
                    return


async def test_tiers_and_partitions_say_what_is_held(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"line {index}" for index in range(321)])
    await offload(site)
    held = (await site.api.get("/tailrace/tiers")).json()
    partitions = (await site.api.get("/tailrace/archive/partitions")).json()["partitions"]

    await page.goto("/archive")
    together = page.get_by_role("row", name="Together")
    await expect(together).to_contain_text(f"{held['rows']:,}")
    await expect(page.get_by_role("img", name="Lines by day")).to_be_visible()
    await page.get_by_text("As a table").click()
    newest = partitions[-1]
    table = page.get_by_role("region", name="Partitions as a table")
    await expect(table.get_by_role("row", name=newest["start"][:10])).to_contain_text(
        f"{newest['rows']:,}"
    )
    await page.get_by_label("By", exact=True).select_option("hour")
    await expect(table.get_by_role("row").nth(1)).to_contain_text(":00")
    await page.locator("rect").first.hover()
    await expect(page.get_by_text("segments,", exact=False).first).to_be_visible()


async def test_rules_are_tried_before_they_are_in_force(site: Site, page: Page) -> None:
    await site.api.put("/tailrace/retention", json={"rules": []})
    await old_run(site, "bookkeeping", 40)
    await offload(site)
    await page.goto("/archive")
    await page.get_by_role("button", name="Add a rule").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Name").fill("books")
    await form.get_by_label("Flows").fill("bookkeeping")
    await form.get_by_label("Keep for").fill("30")
    await form.get_by_role("button", name="Lines below a level").click()
    await form.get_by_role("button", name="Use").click()
    rule = page.get_by_role("row", name="books")
    await expect(rule).to_contain_text("Runs of flow bookkeeping")
    await expect(rule).to_contain_text("30 days; lines below INFO 7 days")
    await expect(page.get_by_text("Not saved yet.")).to_be_visible()

    await page.get_by_role("button", name="Dry run and save").click()
    dialog = page.get_by_role("dialog")
    taken = dialog.get_by_role("row", name="books").get_by_role("cell")
    await expect(taken.nth(1)).to_have_text("1")
    await expect(taken.nth(2)).to_have_text("40")
    assert (await site.api.get("/tailrace/retention")).json() == {"rules": []}
    await dialog.get_by_role("button", name="Save the rules").click()
    await expect(page.get_by_text("The rules are in force")).to_be_visible()
    (saved,) = (await site.api.get("/tailrace/retention")).json()["rules"]
    assert saved["flows"] == ["bookkeeping"]
    assert saved["below"] == [{"level": 20, "days": 7}]

    # A wrong rule is not taken, with a word why.
    await page.get_by_role("button", name="books", exact=True).click()
    await form.get_by_label("Keep for").fill("5")
    await expect(form.get_by_role("alert")).to_contain_text("must go earlier")
    await expect(form.get_by_role("button", name="Use")).to_be_disabled()
    await form.get_by_role("button", name="Cancel").click()
    await site.api.put("/tailrace/retention", json={"rules": []})


async def test_a_rule_names_deployments_once_although_flows_share_their_names(
    site: Site, page: Page
) -> None:
    twin = f"twin-{uuid.uuid4().hex[:8]}"
    for flow in ("one", "two"):
        made = await site.api.post("/flows/", json={"name": f"{flow}-of-{twin}"})
        body = {"name": twin, "flow_id": made.json()["id"]}
        assert (await site.api.post("/deployments/", json=body)).status_code == 201
    await page.goto("/archive")
    await page.get_by_role("button", name="Add a rule").click()
    await expect(page.get_by_role("dialog").get_by_label("Name")).to_be_visible()
    await expect(page.locator(f"datalist option[value='{twin}']")).to_have_count(1)


async def test_a_run_is_held_and_let_go(site: Site, page: Page, complaints: Complaints) -> None:
    name = await old_run(site, "evidence", 1)
    await page.goto("/archive")
    await page.get_by_role("button", name="Hold a run").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Run").fill("no such run")
    await dialog.get_by_label("Reason").fill("case 7")
    await dialog.get_by_role("button", name="Hold", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("No run is called no such run")
    await dialog.get_by_label("Run").fill(name)
    await page.keyboard.press("Enter")
    held = page.get_by_role("row", name=name)
    await expect(held).to_contain_text("case 7")
    holds = (await site.api.get("/tailrace/holds")).json()
    (run,) = (hold["flow_run_id"] for hold in holds if hold["reason"] == "case 7")
    assert (await site.api.delete(f"/flow_runs/{run}")).status_code == 409

    await held.get_by_role("button", name="Lift").click()
    await page.get_by_role("dialog").get_by_role("button", name="Lift the hold").click()
    await expect(held).to_have_count(0)
    assert (await site.api.delete(f"/flow_runs/{run}")).status_code == 204


async def test_a_verification_tells_what_is_wrong_and_what_mends_it(site: Site, page: Page) -> None:
    key = "logs/date=2026-01-01/hour=00/nobody-knows-me.parquet"
    async with open_services(site.config) as services:
        await services.objects.put_new(key, b"PAR1")
    await page.goto("/archive")
    await page.get_by_role("button", name="Verify now").click()
    problem = page.get_by_role("region", name="Problems").locator(".problem", has_text=key)
    await expect(problem).to_contain_text("orphaned")
    await expect(problem).to_contain_text("tailrace tier verify --delete-orphans")
    async with open_services(site.config) as services:
        await services.objects.delete_many([key])
    await page.get_by_role("button", name="Verify now").click()
    await expect(problem).to_have_count(0)


async def test_the_page_is_accessible_with_rules_and_dialogs(
    site: Site,
    page: Page,
    context: BrowserContext,
    axe: Axe,
    screenshots: Callable[[Page, str], Awaitable[list[Path]]],
) -> None:
    await post_lines(site.api, await make_run(site.api), ["a line"])
    await offload(site)
    await site.api.put("/tailrace/retention", json={"rules": [{"name": "rest", "days": 3650}]})
    await page.goto("/archive")
    await expect(page.get_by_role("row", name="rest")).to_be_visible()
    await expect(page.get_by_role("img", name="Lines by day")).to_be_visible()
    await page.get_by_text("As a table").click()
    assert await axe(page) == []
    await screenshots(page, "archive")
    # All of it by keys.
    await page.get_by_role("button", name="rest", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await axe(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await site.api.put("/tailrace/retention", json={"rules": []})
