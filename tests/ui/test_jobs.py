"""The page of the background jobs: how each does, what it did, a dry run and a run by hand."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from app.services import ServicesConfig
from tests.processes import ApiProcess, JobsProcess
from tests.ui.conftest import Axe, Site

Screenshots = Callable[[Page, str], Awaitable[list[Path]]]


@pytest.fixture
async def plain_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for processes that the test starts and stops."""
    context = await browser.new_context()
    context.set_default_timeout(15_000)
    yield await context.new_page()
    await context.close()


async def test_a_dry_run_says_what_a_pass_would_do_and_a_run_does_it(
    page: Page, site: Site, axe: Axe
) -> None:
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="Log retention")).to_be_visible()
    rules = (await site.api.get("/tailrace/retention")).json()

    await page.get_by_role("button", name="Dry run of Log retention").click()
    dialog = page.get_by_role("dialog", name="Dry run of Log retention")
    await expect(dialog.get_by_text("nothing was changed")).to_be_visible()
    assert rules["rules"] == []
    await expect(dialog.locator("pre")).to_contain_text("no rule is set")
    assert await axe(page) == []
    await dialog.get_by_role("button", name="Run it now").click()
    await expect(page.get_by_text(re.compile(r"^Log retention: .*\.$"))).to_be_visible()
    await expect(dialog).to_be_hidden()


async def test_the_passes_of_a_job_are_listed_with_what_they_did(
    page: Page, axe: Axe, screenshots: Screenshots
) -> None:
    await page.goto("/jobs")
    await page.get_by_role("button", name="Run now: Log offload").click()
    await page.get_by_role("button", name="Log offload: passes").click()
    await expect(page).to_have_url(re.compile(r"\?open=log-offload$"))
    passes = page.get_by_role("group", name="Recorded passes of log-offload")
    await expect(passes.get_by_role("listitem").first).to_contain_text(
        re.compile(r"\d ms\s*Done"), timeout=20_000
    )
    assert await axe(page) == []
    await screenshots(page, "jobs")

    # The address opens it again.
    await page.reload()
    await expect(passes.get_by_role("listitem").first).to_be_visible()
    await page.get_by_role("button", name="Log offload: passes").click()
    await expect(passes).to_be_hidden()


async def test_a_job_that_fails_stands_out_with_its_error(page: Page, site: Site) -> None:
    # The overview of a server without runs tells how to make one instead.
    flow = (await site.api.post("/flows/", json={"name": "of-jobs"})).json()
    await site.api.post("/flow_runs/", json={"flow_id": flow["id"]})

    async def fail_sweep(route: Route) -> None:
        answer = await route.fetch()
        jobs = await answer.json()
        for job in jobs["jobs"]:
            if job["name"] == "log-sweep":
                now = job["last_pass"]
                job["last"] = {
                    "id": "01a20f34-14e4-7520-80cc-07f34e549a39",
                    "name": "log-sweep",
                    "holder": "here",
                    "started": now,
                    "finished": now,
                    "seconds": 1.0,
                    "outcome": "failed",
                    "report": None,
                    "error": "the bucket cannot be reached",
                }
        await route.fulfill(response=answer, json=jobs)

    await page.route("**/api/tailrace/jobs", fail_sweep)
    await page.goto("/jobs")
    warning = page.get_by_role("status").filter(has_text="One job is not well")
    await expect(warning.get_by_role("link", name="Log sweep")).to_be_visible()
    await expect(page.get_by_text("the bucket cannot be reached")).to_be_visible()
    await page.goto("/")
    health = page.get_by_role("region", name="Job health")
    await expect(health.get_by_text("the bucket cannot be reached")).to_be_visible()


async def test_without_a_jobs_process_the_page_says_how_to_start_one(
    plain_page: Page, services_config: ServicesConfig, axe: Axe
) -> None:
    page = plain_page
    async with ApiProcess.run(services_config) as api:
        address = f"{api.url.removesuffix('/api')}/jobs"
        await page.goto(address)
        await expect(
            page.get_by_role("heading", name="No jobs process has started yet")
        ).to_be_visible()
        await expect(page.get_by_text("tailrace jobs", exact=True)).to_be_visible()
        assert await axe(page) == []

        async with JobsProcess.run(services_config):
            # They come by themselves.
            await expect(page.get_by_role("heading", name="Log offload")).to_be_visible(
                timeout=20_000
            )
            await expect(page.get_by_role("button", name="Run now: Log offload")).to_be_enabled()
        await expect(page.get_by_text("No jobs process runs.")).to_be_visible(timeout=60_000)
        await expect(page.get_by_role("button", name="Run now: Log offload")).to_be_disabled()
        assert await axe(page) == []


async def test_jobs_are_searched_and_walked_by_keys(page: Page) -> None:
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="Zombie killer")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.get_by_role("button", name="Concurrency leases: passes")).to_be_focused()
    await page.keyboard.press("k")
    await expect(page.get_by_role("button", name="Cancellation cleanup: passes")).to_be_focused()
    await page.keyboard.press("/")
    await page.keyboard.type("dead")
    await expect(page.locator("main").get_by_role("heading", level=2)).to_have_text(
        ["Zombie killer"]
    )
    await expect(page).to_have_url(re.compile(r"\?q=dead$"))
