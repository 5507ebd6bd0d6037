"""The log of a run that goes on: no line is missed and none comes twice, whatever happens meanwhile."""

import asyncio
import datetime as dt

import httpx
from playwright.async_api import Page, expect

from app.services import ServicesConfig
from app.tiers import offload_everything
from tests.processes import ApiProcess, free_port
from tests.tutorial.conftest import Prefect
from tests.ui.conftest import Complaints, Site
from tests.ui.log_runs import (
    current,
    grid,
    in_view,
    make_run,
    messages_of,
    post_lines,
    read_through,
    row,
)


async def running(prefect: Prefect, flow: str) -> str:
    """The id of the only run of a flow, once it runs."""
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        for run in await prefect.flow_runs(flow):
            if run["state_type"] == "RUNNING":
                run_id: str = run["id"]
                return run_id
        assert asyncio.get_running_loop().time() < deadline, "it does not run"
        await asyncio.sleep(0.05)


def first_line(message: str) -> str:
    """What is shown of a message that is folded."""
    return message.splitlines()[0]


async def test_lines_of_a_real_flow_appear_while_it_runs(
    site: Site, page: Page, prefect: Prefect
) -> None:
    flow = await prefect.start("chatty", "3", "300")
    run = await running(prefect, "chatty")
    await page.goto(f"/runs/{run}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(row(page, "says line")).not_to_have_count(0)

    finished = await flow.finish()
    assert finished.returncode == 0, finished.output
    logged = flow.logged()
    await expect(grid(page)).to_have_attribute("aria-rowcount", str(len(logged)))
    # The reader stayed at the end, where the newest lines came.
    assert max(await in_view(page)) == len(logged)
    said = await messages_of(site.api, run)
    shown = [text.split("KeyError: ")[0] for text in await read_through(page)]
    assert shown == [first_line(message) for message in said]


async def test_a_reader_who_scrolled_up_stays_there_and_is_told_of_new_lines(
    site: Site, page: Page
) -> None:
    run = await make_run(site.api, "RUNNING")
    await post_lines(site.api, run, [f"line {index}" for index in range(500)])
    await page.goto(f"/runs/{run}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(row(page, "line 499")).to_be_visible()
    await grid(page).focus()
    await page.keyboard.press("PageUp")
    await page.keyboard.press("PageUp")
    await page.wait_for_timeout(100)
    before = await in_view(page)
    await post_lines(site.api, run, [f"line {index}" for index in range(500, 620)], first=500)
    pill = page.get_by_role("button", name="120 new lines")
    await expect(pill).to_be_visible()
    assert await in_view(page) == before
    await pill.click()
    await expect(row(page, "line 619")).to_be_visible()
    await expect(pill).to_have_count(0)


async def test_a_line_that_comes_late_lands_in_its_place(site: Site, page: Page) -> None:
    run = await make_run(site.api, "RUNNING")
    await post_lines(site.api, run, [f"line {index}" for index in range(600)])
    await page.goto(f"/runs/{run}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    # These come by the live tail, not by what is read when it begins.
    for index in range(600, 603):
        await post_lines(site.api, run, [f"line {index}"], first=index)
        await expect(row(page, f"line {index}")).to_be_visible()
    # One near the end, one far above, where the reader has not been.
    await post_lines(site.api, run, ["late and near"], first=595)
    await expect(row(page, "late and near")).to_be_visible()
    expected = [f"line {index}" for index in range(603)]
    expected.insert(596, "late and near")
    assert list((await in_view(page)).values())[-8:] == expected[-8:]
    await post_lines(site.api, run, ["late and far"], first=50)
    await expect(grid(page)).to_have_attribute("aria-rowcount", "605")
    expected.insert(51, "late and far")
    assert await read_through(page) == expected


async def test_offload_in_the_middle_of_reading_is_not_seen(
    services_config: ServicesConfig, page: Page, complaints: Complaints
) -> None:
    # No jobs run here, so lines stay hot until the test moves them.
    async with (
        ApiProcess.run(services_config) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as api,
    ):
        complaints.allow("foreign request: http://127.0.0.1|ERR_")
        run = await make_run(api, "RUNNING")
        await post_lines(api, run, [f"line {index}" for index in range(1500)])
        await page.goto(f"{server.url.removesuffix('/api')}/runs/{run}")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await grid(page).focus()
        await page.keyboard.press("Home")
        await page.keyboard.press("i")
        await expect(page.get_by_role("dialog")).to_contain_text("In PostgreSQL")
        await page.keyboard.press("Escape")
        before = await in_view(page)

        await offload_everything(services_config.database_url, services_config.s3)
        assert await in_view(page) == before
        await post_lines(api, run, [f"line {index}" for index in range(1500, 1600)], first=1500)
        await expect(grid(page)).to_have_attribute("aria-rowcount", "1600")
        assert await read_through(page) == [f"line {index}" for index in range(1600)]
        await page.keyboard.press("Home")
        await page.keyboard.press("i")
        await expect(page.get_by_role("dialog")).to_contain_text("In the object store")


async def test_a_server_that_is_killed_and_comes_back_costs_no_line_of_the_tail(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow("foreign request: http://127.0.0.1|Failed to load|ERR_|WebSocket")
    run = await make_run(site.api, "RUNNING")
    await post_lines(site.api, run, [f"line {index}" for index in range(300)])
    port = free_port()
    server = await ApiProcess.start(site.config, port=port)
    try:
        await page.goto(f"http://127.0.0.1:{port}/runs/{run}")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await post_lines(site.api, run, ["before"], first=300)
        await expect(row(page, "before")).to_be_visible()

        await server.kill()
        await expect(page.get_by_text("Connection lost")).to_be_visible()
        # Another process of the installation takes lines meanwhile.
        more = [f"line {index}" for index in range(301, 700)]
        await post_lines(site.api, run, more, first=301)
        server = await ApiProcess.start(site.config, port=port)
        await expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=30_000)
        await expect(grid(page)).to_have_attribute("aria-rowcount", "700")
        await post_lines(site.api, run, ["after"], first=700)
        await expect(row(page, "after")).to_be_visible()
        assert await read_through(page) == [
            *(f"line {index}" for index in range(300)),
            "before",
            *more,
            "after",
        ]
    finally:
        await server.kill()


async def test_a_run_that_ends_gives_its_last_lines_and_is_not_followed_longer(
    site: Site, page: Page
) -> None:
    run = await make_run(site.api, "RUNNING")
    await page.goto(f"/runs/{run}")
    await expect(page.get_by_text("No lines yet")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    state = {"state": {"type": "COMPLETED"}, "force": True}
    await site.api.post(f"/flow_runs/{run}/set_state", json=state)
    now = dt.datetime.now(dt.UTC).isoformat()
    last = {"name": "x", "level": 20, "message": "the last line", "timestamp": now}
    await site.api.post("/logs/", json=[{**last, "flow_run_id": run}])
    await expect(row(page, "the last line")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_have_count(0, timeout=40_000)
    await page.keyboard.press("j")
    await expect(current(page)).to_contain_text("the last line")
