"""Lines of all runs are searched, narrowed, followed and taken away in the browser."""

import asyncio
import datetime as dt
import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect
from typing_extensions import override

from app.services import ServicesConfig, open_services
from storage.logs.offload import offload_pass
from tests.chaos.faulty_s3 import BLOCK, FaultyS3
from tests.processes import ApiProcess
from tests.ui.conftest import Axe, Complaints, Site
from tests.ui.log_runs import START, make_run, post_lines

SEGMENTS = 40
LINES = 400
# Through a slow S3.
PATIENCE = 20_000


def lines(page: Page) -> Locator:
    """What was found."""
    return page.get_by_role("grid", name="Lines")


def row(page: Page, text: str) -> Locator:
    """The line in view with this text."""
    return lines(page).get_by_role("row").filter(has_text=text)


def found(page: Page, text: str) -> Locator:
    """What the page says of how many lines it found."""
    return page.get_by_role("status").filter(has_text=text)


async def search(page: Page, text: str, kind: str = "Text") -> None:
    """Type it and send it."""
    await page.get_by_label("How to match").select_option(kind)
    await page.get_by_label("Search messages").fill(text)
    await page.keyboard.press("Enter")


async def lines_now(api: httpx.AsyncClient, run: str, messages: list[str], level: int = 20) -> None:
    """Lines that were written just now."""
    now = dt.datetime.now(dt.UTC).isoformat()
    body = [
        {"name": "app", "level": level, "message": each, "timestamp": now, "flow_run_id": run}
        for each in messages
    ]
    assert (await api.post("/logs/", json=body)).status_code == 201


class CountedS3(FaultyS3):
    """Counts what passes from S3 or to it."""

    passed = 0

    @override
    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            self.passed += len(data)
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(self._pause)


@pytest.fixture
async def slow_s3(services_config: ServicesConfig) -> AsyncIterator[CountedS3]:
    """Before the S3 of `slow_site`."""
    async with CountedS3.before(services_config.s3.endpoint_url or "") as proxy:
        assert isinstance(proxy, CountedS3)
        yield proxy


@pytest.fixture
async def slow_site(services_config: ServicesConfig, slow_s3: CountedS3) -> AsyncIterator[Site]:
    """An API behind a slow S3 that has lines in several segments; it never read them before."""
    config = replace(
        services_config,
        s3=replace(services_config.s3, endpoint_url=f"http://127.0.0.1:{slow_s3.port}"),
    )
    async with (
        ApiProcess.run(config) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60, trust_env=False) as client,
    ):
        run = await make_run(client)
        dice = Random(3)
        async with open_services(services_config) as services:
            for segment in range(SEGMENTS):
                messages = [f"{index} {dice.randbytes(120).hex()}" for index in range(LINES)]
                messages[dice.randrange(LINES)] += f" needle {segment}"
                await post_lines(client, run, messages, first=segment * LINES)
                await offload_pass(services.pool, services.objects, force=True)
        slow_s3.passed = 0
        yield Site(url=api.url.removesuffix("/api"), api=client, config=config)


async def test_a_cancelled_search_stops_the_server(
    slow_site: Site, slow_s3: CountedS3, page: Page, complaints: Complaints
) -> None:
    # What is read then is read by the search alone.
    await page.route(re.compile("/logs/(counts|histogram)$"), lambda route: route.abort())
    complaints.allow("foreign request|Failed to load resource: net::ERR_FAILED")
    slow_s3.slow_down(0.3)
    # Told as it is found: the newest ones first, while most was not looked at.
    await page.goto(f"{slow_site.url}/logs?regex=needle+[0-9]&last=all")
    await expect(row(page, f"needle {SEGMENTS - 1}")).to_be_visible(timeout=PATIENCE)
    await expect(found(page, "so far")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(found(page, "cancelled: older lines were not looked at")).to_be_visible()

    before = -1
    while before != slow_s3.passed:
        before = slow_s3.passed
        await asyncio.sleep(1)

    # A search that nobody cancels finds the rest, and reads much more.
    slow_s3.slow_down(0)
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(found(page, f"{SEGMENTS} lines · all there are")).to_be_visible()
    assert slow_s3.passed - before > before


async def test_what_cannot_be_read_is_said_and_what_was_found_stays(
    slow_site: Site, slow_s3: CountedS3, page: Page, complaints: Complaints
) -> None:
    complaints.allow("foreign request|status of 503")
    slow_s3.slow_down(0.3)
    await page.goto(f"{slow_site.url}/logs?regex=needle+[0-9]&last=all")
    newest = row(page, f"needle {SEGMENTS - 1}")
    await expect(newest).to_be_visible(timeout=PATIENCE)
    await slow_s3.become("refuses")
    ended = page.get_by_role("alert").filter(has_text="The search ended early")
    # It is tried again for a while before it is given up.
    await expect(ended).to_be_visible(timeout=PATIENCE)
    await expect(newest).to_be_visible()
    slow_s3.slow_down(0)
    await slow_s3.become(None)
    await page.get_by_role("button", name="Go on from there").click()
    await expect(found(page, f"{SEGMENTS} lines · all there are")).to_be_visible()
    await expect(newest).to_have_count(1)
    await expect(ended).to_have_count(0)


async def test_a_brush_over_the_bars_narrows_the_search(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"brushed {index}" for index in range(3600)])
    end = START + dt.timedelta(hours=1)
    await page.goto(f"/logs?run={run}&from={START:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}")
    await expect(row(page, "brushed 3599")).to_be_visible()
    chart = page.locator(".u-over")
    box = await chart.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=5)
    await page.mouse.up()

    # What the page writes itself is escaped.
    await page.wait_for_url("**/logs?*%3A*")
    asked = parse_qs(urlsplit(page.url).query)
    first, last = (dt.datetime.fromisoformat(asked[name][0]) - START for name in ("from", "to"))
    assert dt.timedelta(minutes=13) < first < dt.timedelta(minutes=17)
    assert dt.timedelta(minutes=28) < last < dt.timedelta(minutes=32)
    # The newest line before the end; none that lies on it.
    newest = int(last.total_seconds()) - 1
    await expect(row(page, f"brushed {newest}")).to_be_visible()
    await expect(lines(page).get_by_role("row").first).to_contain_text(f"brushed {newest}")


async def test_filters_are_chosen_from_what_there_is_and_kept_in_the_address(
    site: Site, page: Page
) -> None:
    flow = await site.api.post("/flows/", json={"name": f"flow-{uuid.uuid4().hex[:6]}"})
    names = {}
    for name in ("first", "second"):
        made = await site.api.post(
            "/flow_runs/", json={"flow_id": flow.json()["id"], "name": f"explored-{name}"}
        )
        names[name] = made.json()["id"]
        await lines_now(site.api, names[name], [f"{name} says {n}" for n in range(20)])
        await lines_now(site.api, names[name], [f"{name} fails"], level=40)
    await page.goto(f"/logs?flow={flow.json()['id']}")
    filters = page.get_by_role("complementary", name="Filters")
    chosen = filters.get_by_role("button", name=flow.json()["name"])
    await expect(chosen).to_have_attribute("aria-pressed", "true")
    await expect(chosen).to_contain_text("42")
    await expect(found(page, "42 lines · all there are")).to_be_visible()

    await filters.get_by_role("button", name="explored-second").click()
    await expect(found(page, "21 lines")).to_be_visible()
    await page.get_by_role("group", name="Levels").get_by_role("button", name="error").click()
    await expect(found(page, "1 line ·")).to_be_visible()
    await search(page, "FAILS")
    await expect(row(page, "second fails").locator("mark")).to_have_text("fails")
    await page.goto(page.url)
    await expect(found(page, "1 line ·")).to_be_visible()
    await page.go_back()
    await page.get_by_role("button", name="Recent").click()
    await page.get_by_role("dialog").get_by_role("button", name="FAILS").first.click()
    await expect(row(page, "second fails")).to_be_visible()


async def test_a_line_leads_to_its_run_at_that_line(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"step {index}" for index in range(2000)])
    await page.goto(f"/logs?run={run}&q=%22step+777%22&last=all")
    await row(page, "step 777").click()
    await page.wait_for_url(f"**/runs/{run}?line=*")
    log = page.get_by_role("grid", name="Log lines")
    await expect(log.get_by_role("row").filter(has_text="step 777")).to_be_visible()
    await expect(log.get_by_role("row").filter(has_text="step 776")).to_be_visible()


async def test_more_lines_come_with_scrolling_and_keys(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"many {index}" for index in range(1500)])
    await page.goto(f"/logs?run={run}&last=all")
    await expect(row(page, "many 1499")).to_be_visible()
    await expect(found(page, "200 lines · the newest; more when you scroll")).to_be_visible()
    await page.keyboard.press("j")
    await expect(lines(page)).to_be_focused()
    while not await found(page, "1,500 lines · all there are").count():
        await page.keyboard.press("End")
        await page.wait_for_timeout(50)
    await page.keyboard.press("End")
    await expect(row(page, re.compile("many 0$").pattern.rstrip("$"))).to_be_visible()
    await page.keyboard.press("Home")
    await expect(row(page, "many 1499")).to_be_visible()


async def test_new_lines_are_followed_and_do_not_move_a_reader_who_scrolled(
    site: Site, page: Page
) -> None:
    run = await make_run(site.api)
    await lines_now(site.api, run, [f"early {index}" for index in range(100)])
    await page.goto(f"/logs?run={run}&regex=early%7Clate")
    await expect(row(page, "early 99")).to_be_visible()
    await page.keyboard.press("f")
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    await lines_now(site.api, run, ["late 1", "passed over"])
    await expect(lines(page).get_by_role("row").first).to_contain_text("late 1")
    assert await row(page, "passed over").count() == 0

    await lines(page).evaluate("grid => grid.scrollTo(0, 1000)")
    seen = await lines(page).evaluate("grid => grid.scrollTop")
    await lines_now(site.api, run, ["late 2"])
    pill = page.get_by_role("button", name="1 new line")
    await expect(pill).to_be_visible()
    assert await lines(page).evaluate("grid => grid.scrollTop") == seen
    await pill.click()
    await expect(lines(page).get_by_role("row").first).to_contain_text("late 2")


async def test_a_download_has_every_line_that_matches(
    site: Site, page: Page, tmp_path: Path
) -> None:
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"saved {index}" for index in range(500)])
    await page.goto(f"/logs?run={run}&regex=saved+.*7%24&last=all")
    await expect(row(page, "saved 497")).to_be_visible()
    await page.get_by_role("button", name="Download").click()
    async with page.expect_download() as download:
        await page.get_by_role("dialog").get_by_role("button", name="NDJSON").click()
    path = tmp_path / "lines"
    await (await download.value).save_as(path)
    messages = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert messages == [f"saved {index}" for index in range(7, 500, 10)]


async def test_the_page_is_accessible_with_lines_and_without(
    site: Site,
    page: Page,
    context: BrowserContext,
    axe: Axe,
    screenshots: Callable[[Page, str], Awaitable[list[Path]]],
) -> None:
    run = await make_run(site.api)
    levels = {index: (10, 20, 30, 40, 50)[index % 5] for index in range(200)}
    messages = [f"line {index}\n  and more" for index in range(200)]
    await post_lines(site.api, run, messages, levels=levels)
    await page.goto(f"/logs?run={run}&last=all&q=line")
    await expect(row(page, "line 199")).to_be_visible()
    await expect(page.locator(".u-over")).to_be_visible()
    assert await axe(page) == []
    await screenshots(page, "explore")
    await page.goto(f"/logs?run={uuid.uuid4()}&q=nothing")
    await expect(page.get_by_role("heading", name="No line matches")).to_be_visible()
    assert await axe(page) == []
