"""Deployments: paused and resumed, their schedules edited, and run by hand."""

import datetime as dt
import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.tutorial.conftest import Prefect
from tests.ui.conftest import Axe, Complaints, Site

Eventually = Callable[..., Awaitable[None]]
HOURLY = {"cron": "0 * * * *", "timezone": "UTC"}


async def deploy(site: Site, **more: object) -> dict[str, Any]:
    """A deployment of a flow of its own."""
    name = f"d-{uuid.uuid4().hex[:8]}"
    flow = await site.api.post("/flows/", json={"name": f"flow-of-{name}"})
    body = {"name": name, "flow_id": flow.json()["id"], **more}
    response = await site.api.post("/deployments/", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def scheduled(site: Site, deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs of the deployment that wait to begin."""
    body = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    found: list[dict[str, Any]] = (await site.api.post("/flow_runs/filter", json=body)).json()
    return found


async def schedules(site: Site, deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """Its schedules as the server has them."""
    found: list[dict[str, Any]] = (
        await site.api.get(f"/deployments/{deployment['id']}/schedules")
    ).json()
    return found


async def test_a_pause_takes_the_scheduled_runs_back_and_a_resume_brings_them(
    site: Site, page: Page, axe: Axe
) -> None:
    deployment = await deploy(site, schedules=[{"schedule": HOURLY}], tags=["etl"])
    await page.goto(f"/deployments/{deployment['id']}")
    rows = page.get_by_role("table", name="Next runs").locator("tbody tr")
    await expect(rows.first).to_be_visible()
    before = await rows.count()
    assert await axe(page) == []

    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(
        page.get_by_text("Nothing is scheduled: the deployment is paused.")
    ).to_be_visible()
    await expect(rows).to_have_count(0)
    assert await scheduled(site, deployment) == []

    await page.get_by_role("button", name="Resume", exact=True).click()
    await expect(rows).to_have_count(before)
    assert len(await scheduled(site, deployment)) == before


async def test_a_schedule_is_previewed_refused_beside_its_field_and_saved(
    site: Site, page: Page, complaints: Complaints, axe: Axe, eventually: Eventually
) -> None:
    complaints.allow("422")
    deployment = await deploy(site, schedules=[{"schedule": HOURLY}])
    await page.goto(f"/deployments/{deployment['id']}")
    await page.get_by_role("button", name="Edit: Every hour").click()
    dialog = page.get_by_role("dialog", name="Edit schedule")
    dates = dialog.get_by_role("listitem")
    await expect(dates).to_have_count(10)

    cron = dialog.get_by_label("Cron expression")
    await cron.fill("61 * * * *")
    await expect(dialog.get_by_role("alert")).to_contain_text("invalid cron")
    await expect(cron).to_have_attribute("aria-invalid", "true")
    await expect(dates).to_have_count(0)
    assert await axe(page) == []
    await dialog.get_by_role("button", name="Save schedule").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("invalid cron")
    [kept] = await schedules(site, deployment)
    assert kept["schedule"]["cron"] == HOURLY["cron"]

    await cron.fill("30 6 * * 1-5")
    zone = dialog.get_by_label("Time zone")
    await zone.fill("Middle/Earth")
    await expect(zone).to_have_attribute("aria-invalid", "true")
    await zone.fill("Asia/Tokyo")
    await expect(dates).to_have_count(10)
    for date in await dates.all_inner_texts():
        assert re.match(r"(Mon|Tue|Wed|Thu|Fri) \d{4}-\d\d-\d\d 06:30:00 \+09:00", date), date
    await dialog.get_by_role("button", name="Save schedule").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_text("At 06:30, Monday through Friday, Asia/Tokyo")).to_be_visible()
    [kept] = await schedules(site, deployment)
    assert kept["schedule"] == {"cron": "30 6 * * 1-5", "timezone": "Asia/Tokyo", "day_or": True}

    async def follows() -> bool:
        runs = await scheduled(site, deployment)
        times = {dt.datetime.fromisoformat(run["expected_start_time"]) for run in runs}
        return {(time.hour, time.minute) for time in times} == {(21, 30)}

    await eventually(follows, within=20)


async def test_schedules_of_every_kind_are_added_paused_and_deleted(site: Site, page: Page) -> None:
    deployment = await deploy(site)
    await page.goto(f"/deployments/{deployment['id']}")
    await expect(page.get_by_text("None: it runs on demand only.")).to_be_visible()
    dialog = page.get_by_role("dialog", name="Add schedule")
    add = dialog.get_by_role("button", name="Add schedule")

    await page.get_by_role("button", name="Add schedule").click()
    await dialog.get_by_label("Interval").check()
    await dialog.get_by_label("Every").fill("90")
    await dialog.get_by_label("Unit").select_option("minutes")
    await expect(dialog.get_by_role("listitem")).to_have_count(10)
    await add.click()
    await expect(page.get_by_text("Every 1 h 30 min")).to_be_visible()

    await page.get_by_role("button", name="Add schedule").click()
    await dialog.get_by_label("RRule").check()
    await dialog.get_by_label("Recurrence rule").fill("FREQ=DAILY;BYHOUR=4;BYMINUTE=0;BYSECOND=0")
    await dialog.get_by_label("Time zone").fill("UTC")
    await add.click()
    await expect(page.get_by_text("Every day at 04:00, UTC")).to_be_visible()

    await page.get_by_role("button", name="Pause all").click()
    await expect(page.get_by_text("Every day at 04:00, UTC (paused)")).to_be_visible()
    assert [each["active"] for each in await schedules(site, deployment)] == [False, False]
    await page.get_by_role("button", name="Resume: Every 1 h 30 min").click()
    await expect(page.get_by_role("button", name="Pause: Every 1 h 30 min")).to_be_visible()

    await page.get_by_role("button", name="Delete: Every day at 04:00").click()
    await page.get_by_role("button", name="Delete schedule").click()
    await expect(page.get_by_role("button", name="Delete: Every day at 04:00")).to_be_hidden()
    [kept] = await schedules(site, deployment)
    assert (kept["schedule"]["interval"], kept["active"]) == (5400, True)


def field(dialog: Locator, name: str) -> Locator:
    """The control of a parameter."""
    return dialog.get_by_label(re.compile(rf"^{name}\b"))


async def test_a_run_by_hand_needs_right_parameters_and_is_run_by_the_served_flow(
    site: Site, page: Page, prefect: Prefect, axe: Axe
) -> None:
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    async with prefect.server_of("loading", name) as agent:
        await agent.says("is being served")
        deployment = await prefect.deployment(f"loading/{name}")
        await page.goto("/agents?tab=served")
        served = page.get_by_role("row").filter(has_text=f"loading / {name}")
        await expect(served.get_by_text("Ready")).to_be_visible()
        await served.get_by_role("link").click()
        await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()

        await page.keyboard.press("n")
        dialog = page.get_by_role("dialog", name=f"Run {name}")
        days = field(dialog, "days")
        await days.fill("200")
        await dialog.get_by_role("button", name="Run now").click()
        await expect(days).to_have_attribute("aria-invalid", "true")
        await expect(dialog.get_by_text("200 is greater than the maximum of 90")).to_be_visible()
        await expect(dialog.get_by_text("Required")).to_be_visible()
        assert await prefect.runs_of(name) == []
        assert await axe(page) == []

        await days.fill("3")
        await field(dialog, "first").fill("2026-11-01")
        await field(dialog, "region").select_option(label="south")
        await dialog.get_by_label("Name", exact=True).fill("asked-for")
        await dialog.get_by_label("Tags", exact=True).fill("repair, ours")
        await dialog.get_by_role("button", name="Run now").click()
        await page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
        run_id = page.url.split("/runs/")[1][:36]
        run = await prefect.reaches(run_id, "Completed")
    assert (run["name"], run["deployment_id"]) == ("asked-for", deployment["id"])
    assert {"repair", "ours", "etl"} <= set(run["tags"])
    assert run["parameters"]["window"] == {"first": "2026-11-01", "days": 3}
    await prefect.says(run_id, "3 days from 2026-11-01 in south")


async def test_a_run_is_scheduled_for_later_and_the_calendar_shows_it(
    site: Site, page: Page
) -> None:
    deployment = await deploy(site)
    tomorrow = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=1)
    await page.add_init_script("localStorage.setItem('tailrace.clock', 'utc')")
    await page.goto(f"/deployments/{deployment['id']}")
    await page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Run {deployment['name']}")
    await dialog.get_by_label("Later").check()
    await dialog.get_by_role("button", name="Schedule run").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Say when it shall start.")
    assert await scheduled(site, deployment) == []
    await dialog.get_by_label("Start (UTC)").fill(f"{tomorrow:%Y-%m-%dT%H:%M:%S}")
    await dialog.get_by_role("button", name="Schedule run").click()
    await page.wait_for_url(re.compile(r"/runs/"))
    [run] = await scheduled(site, deployment)
    assert dt.datetime.fromisoformat(run["expected_start_time"]) == tomorrow

    await page.goto(f"/deployments/{deployment['id']}")
    await page.get_by_role("button", name="Week", exact=True).click()
    if tomorrow.isoweekday() == 1:
        await page.get_by_role("button", name="Later", exact=True).click()
    await page.get_by_role("button", name=f"{tomorrow:%Y-%m-%d %H:00} 1 scheduled").click()
    chosen = page.get_by_role("table", name="Runs of the chosen time")
    await expect(chosen.get_by_role("link", name=run["name"])).to_be_visible()


async def test_the_list_tells_how_deployments_stand_and_pauses_them(
    site: Site, page: Page, axe: Axe
) -> None:
    tag = f"t-{uuid.uuid4().hex[:8]}"
    one = await deploy(site, tags=[tag], schedules=[{"schedule": HOURLY}])
    other = await deploy(site)
    await page.goto(f"/deployments?tag={tag}")
    row = page.get_by_role("row").filter(has_text=one["name"])
    await expect(row.get_by_text("Every hour, UTC")).to_be_visible()
    await expect(page.get_by_text(other["name"])).to_be_hidden()
    await expect(row.get_by_role("link", name=re.compile("Next run"))).to_be_visible()
    assert await axe(page) == []
    await row.get_by_role("button", name=f"Pause {one['name']}").click()
    await expect(row.get_by_text("Paused")).to_be_visible()
    await expect(row.get_by_role("link", name=re.compile("Next run"))).to_be_hidden()

    await page.goto(f"/deployments?flow={other['flow_id']}")
    await expect(page.get_by_role("link", name=other["name"])).to_be_visible()
    await page.get_by_role("link", name=other["name"]).click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_role("button", name="Delete deployment").click()
    await expect(page).to_have_url(re.compile(r"/deployments$"))
    assert (await site.api.get(f"/deployments/{other['id']}")).status_code == 404


async def test_deployments_look_right_at_every_width(
    site: Site, page: Page, screenshots: Callable[[Page, str], Awaitable[list[Path]]]
) -> None:
    deployment = await deploy(
        site,
        description="Loads orders.\n\nAsk the data team before changing it.",
        schedules=[{"schedule": HOURLY}, {"schedule": {"interval": 5400}}],
        tags=["etl"],
        parameters={"days": 3},
    )
    await page.goto(f"/deployments?q={deployment['name']}")
    await expect(page.get_by_role("link", name=re.compile("Next run"))).to_be_visible()
    assert len(await screenshots(page, "deployments")) == 6
    await page.goto(f"/deployments/{deployment['id']}")
    await expect(page.get_by_role("table", name="Runs by day")).to_be_visible()
    assert len(await screenshots(page, "deployment")) == 6
    await page.set_viewport_size({"width": 380, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380
