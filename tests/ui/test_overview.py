"""The overview: how runs of the real client went, what is now, and what a part of the time shows."""

import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.ui.conftest import Axe, Complaints, Site, client_of_site, watch

Screenshots = Callable[[Page, str], Awaitable[list[Path]]]


# Figures are read again every few seconds.
LIVE_MILLISECONDS = 15_000


@pytest.fixture
async def own_page(browser: Browser, own_site: Site) -> AsyncIterator[Page]:
    """A page of an installation that is empty at first: its figures are known."""
    context = await browser.new_context(base_url=own_site.url)
    context.set_default_timeout(15_000)
    watched = watch(context, urlsplit(own_site.url).netloc)
    yield await context.new_page()
    await context.close()
    assert watched.left() == []


def figure(label: str) -> str:
    """The selector of a figure's value."""
    return f"dl.figures > div:has(dt:text-is('{label}')) .value"


async def create_run(site: Site, state: str, name: str | None = None) -> str:
    """A run in this state; gives its id."""
    flow = (await site.api.post("/flows/", json={"name": "made-by-test"})).json()
    body = {"flow_id": flow["id"], "state": {"type": "PENDING"}, "name": name}
    run = (await site.api.post("/flow_runs/", json=body)).json()
    for type_ in ("RUNNING", state):
        answer = await site.api.post(
            f"/flow_runs/{run['id']}/set_state",
            json={"state": {"type": type_, "message": "it says why\nand more"}, "force": True},
        )
        assert answer.json()["status"] == "ACCEPT"
    return str(run["id"])


async def test_an_empty_server_says_how_to_point_prefect_at_it_and_then_how_its_runs_went(
    own_page: Page,
    own_site: Site,
    prefect_python: Path,
    tmp_path: Path,
    axe: Axe,
    screenshots: Screenshots,
) -> None:
    page = own_page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto("/?range=1h")
    await expect(page.get_by_role("heading", name="No flow has run yet")).to_be_visible()
    await page.get_by_role("button", name=re.compile("Copy: export")).click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == f"export PREFECT_API_URL={own_site.url}/api\npython flow.py"
    assert await axe(page) == []

    prefect = client_of_site(own_site, prefect_python, tmp_path)
    await prefect.run("chatty", "1", "5")
    await prefect.run("failing", returncode=1)

    # Nobody loads the page anew.
    chart = page.get_by_role("slider", name="Runs by state, 1 completed, 1 failed")
    await expect(chart).to_be_visible(timeout=LIVE_MILLISECONDS)
    await expect(page.locator(figure("Success rate"))).to_have_text("50.0 %")
    await expect(page.locator(figure("Runs"))).to_have_text("2")
    await expect(page.locator(figure("Failed or crashed"))).to_have_text("1")
    failures = page.get_by_role("region", name="Recent failures")
    await expect(failures.get_by_text("ZeroDivisionError: division by zero")).to_be_visible()
    errors = page.get_by_role("slider", name=re.compile(r"Error lines, \d+ error"))
    await expect(errors).to_be_visible(timeout=LIVE_MILLISECONDS)
    storage = page.get_by_role("region", name="Log storage")
    await expect(storage.locator("tbody tr")).to_have_count(3)
    health = page.get_by_role("region", name="Job health")
    await expect(health.get_by_text("jobs are well")).to_be_visible()
    assert await axe(page) == []
    await screenshots(page, "overview")

    await failures.get_by_role("listitem").get_by_role("link").click()
    await expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}$"))


async def test_what_begins_to_run_or_is_late_shows_by_itself_and_leads_to_those_runs(
    page: Page, site: Site
) -> None:
    await create_run(site, "COMPLETED")
    await page.goto("/")
    running = page.locator(figure("Running now"))
    await expect(running).to_have_text(re.compile(r"^\d+$"))
    before = int(await running.inner_text())
    await create_run(site, "RUNNING")
    await expect(running).to_have_text(str(before + 1), timeout=LIVE_MILLISECONDS)
    await running.click()
    await expect(page).to_have_url(re.compile(r"/runs\?state=RUNNING$"))


async def test_what_is_due_next_and_what_is_late_is_told_and_leads_there(
    own_page: Page, own_site: Site
) -> None:
    api = own_site.api
    flow = (await api.post("/flows/", json={"name": "due"})).json()["id"]
    body = {"name": "due", "flow_id": flow}
    deployment = (await api.post("/deployments/", json=body)).json()["id"]
    now = dt.datetime.now(dt.UTC)
    for name, minutes in (("overdue", -30), ("in-an-hour", 60), ("in-half-an-hour", 30)):
        due = (now + dt.timedelta(minutes=minutes)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        path = f"/deployments/{deployment}/create_flow_run"
        assert (await api.post(path, json={"name": name, "state": state})).status_code == 201
    page = own_page
    await page.goto("/")
    next_runs = page.get_by_role("region", name="Next scheduled").get_by_role("listitem")
    await expect(next_runs.get_by_role("link")).to_have_text(["in-half-an-hour", "in-an-hour"])
    await expect(next_runs.first).to_contain_text("due")
    await expect(next_runs.first).to_contain_text(re.compile(r"in (29|30) min"))
    # A job marks it late.
    late = page.locator(figure("Late now"))
    await expect(late).to_have_text("1", timeout=30_000)
    await late.click()
    await expect(page).to_have_url(re.compile(r"/runs\?state=Late$"))
    await expect(page.get_by_role("link", name="overdue")).to_be_visible()


async def test_the_period_is_in_the_address(page: Page, site: Site) -> None:
    await create_run(site, "COMPLETED")
    await page.goto("/")
    week = page.get_by_role("button", name="7d")
    await week.click()
    await expect(page).to_have_url(re.compile(r"\?range=7d$"))
    await page.reload()
    await expect(week).to_have_attribute("aria-pressed", "true")
    await page.go_back()
    await expect(page.get_by_role("button", name="24h")).to_have_attribute("aria-pressed", "true")


async def test_a_span_is_brushed_by_mouse_and_by_keys_and_leads_to_its_runs(
    page: Page, site: Site
) -> None:
    await create_run(site, "FAILED")
    await page.goto("/?range=1h")
    failed = page.locator(figure("Failed or crashed"))
    some = re.compile(r"^[1-9]\d*$")
    await expect(failed).to_have_text(some)
    plot = page.locator(".u-over").first
    await expect(plot).to_be_visible()

    # The first half hour has no run.
    box = await plot.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 5, box["y"] + 40)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40, steps=4)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"&from=.*&to="))
    await expect(failed).to_have_text("0")
    await expect(page.get_by_text("No run failed or crashed in this time.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(re.compile(r"\?range=1h$"))
    await expect(failed).to_have_text(some)

    # The newest bar, and the one before it.
    chart = page.get_by_role("slider", name=re.compile("Runs by state"))
    await chart.focus()
    await page.keyboard.press("End")
    await page.keyboard.press("Shift+ArrowLeft")
    await expect(failed).to_have_text(some)
    await page.get_by_role("link", name="Runs of this time").click()
    await expect(page).to_have_url(re.compile(r"/runs\?time=between&from=.*&to="))


async def test_figures_that_can_no_longer_be_read_stay_and_are_called_stale(
    page: Page, site: Site, complaints: Complaints
) -> None:
    complaints.allow("Failed to load resource")
    await create_run(site, "COMPLETED")
    await page.goto("/")
    chart = page.get_by_role("slider", name=re.compile("Runs by state, .*completed"))
    await expect(chart).to_be_visible()
    history = "**/api/flow_runs/history"
    sentence = "The database does not answer."
    await page.route(history, lambda route: route.fulfill(status=503, json={"detail": sentence}))
    await expect(page.get_by_text("Stale, as of")).to_be_visible(timeout=LIVE_MILLISECONDS)
    await expect(page.get_by_text(sentence).first).to_be_visible()
    await expect(chart).to_be_visible()
    await page.unroute(history)
    await page.get_by_role("button", name="Try again").first.click()
    await expect(page.get_by_text("Stale, as of")).to_be_hidden()
