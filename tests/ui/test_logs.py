"""The log of a run: its lines are scrolled through, searched, filtered, linked to and taken away."""

import re
from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.ui.conftest import Axe, Complaints, Site
from tests.ui.log_runs import current, grid, in_view, make_run, post_lines, read_through, row

TRACEBACK = """the load failed
Traceback (most recent call last):
  File "/srv/flow.py", line 3, in load
    raise ConnectionError("reset")
ConnectionError: reset"""


async def test_every_line_of_a_long_run_is_shown_once_and_in_order(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    messages = [f"line {index}" for index in range(2345)]
    await post_lines(site.api, run, messages)
    await page.goto(f"/runs/{run}")
    await expect(grid(page)).to_have_attribute("aria-rowcount", "2345")
    assert await read_through(page) == messages


async def test_a_search_goes_from_match_to_match_over_the_whole_run(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    messages = [f"line {index}{' NEEDLE' if index % 900 == 700 else ''}" for index in range(3000)]
    await post_lines(site.api, run, messages)
    await page.goto(f"/runs/{run}")
    await expect(row(page, "line 0")).to_be_visible()

    await page.keyboard.press("/")
    await page.keyboard.type("needle")
    await expect(current(page)).to_contain_text("line 700 NEEDLE")
    await expect(current(page).locator("mark.current")).to_have_text("NEEDLE")
    await expect(page.get_by_role("search").get_by_role("status")).to_have_text("1 of 3")
    await page.keyboard.press("Enter")
    await expect(current(page)).to_contain_text("line 1600 NEEDLE")
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await expect(current(page)).to_contain_text("line 2500 NEEDLE")
    await page.keyboard.press("n")
    await expect(current(page)).to_contain_text("line 700 NEEDLE")
    await page.keyboard.press("N")
    await expect(current(page)).to_contain_text("line 2500 NEEDLE")

    await page.get_by_role("button", name="Only matching lines").click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "3")
    await expect(page).to_have_url(re.compile(r"text=needle.*only=1"))


async def test_a_regular_expression_is_searched_for_and_a_wrong_one_is_told(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow("Failed to load resource")
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"line {index}" for index in range(1000)])
    await page.goto(f"/runs/{run}?regex=line%20%5B78%5D%5B67%5D5%24")
    await expect(current(page)).to_contain_text("line 765")
    await page.keyboard.press("n")
    await expect(current(page)).to_contain_text("line 775")

    # The page counts what matches, and shows it alone.
    status = page.get_by_role("search").get_by_role("status")
    await expect(status).to_have_text("2 of 4")
    await page.get_by_role("button", name="Only matching lines").click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "4")
    assert list((await in_view(page)).values()) == ["line 765", "line 775", "line 865", "line 875"]
    await expect(row(page, "line 865").locator("mark")).to_have_text("line 865")

    await page.get_by_role("textbox", name="Search lines").fill("line (")
    await expect(page.get_by_role("search").get_by_role("status")).to_contain_text("missing )")


async def test_any_set_of_levels_is_shown_and_all_are_counted(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    levels = {300: 30, 500: 40, 501: 30, 900: 50}
    await post_lines(
        site.api, run, [f"line {index}" for index in range(1000)], level=10, levels=levels
    )
    await page.goto(f"/runs/{run}")
    group = page.get_by_role("group", name="Levels")
    warning = group.get_by_role("button", name="warning 2")
    await warning.click(modifiers=["Shift"])
    await expect(grid(page)).to_have_attribute("aria-rowcount", "4")
    assert list((await in_view(page)).values()) == ["line 300", "line 500", "line 501", "line 900"]
    # Without those in between.
    await group.get_by_role("button", name="error 1").click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "3")
    assert list((await in_view(page)).values()) == ["line 300", "line 501", "line 900"]
    await expect(page).to_have_url(re.compile(r"level=30-39(,|%2C)50"))
    await group.get_by_role("button", name="critical 1").click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "2")
    await warning.click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "1000")


async def test_keys_lead_through_the_lines_and_from_error_to_error(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    levels = {400: 40, 800: 50}
    await post_lines(site.api, run, [f"line {index}" for index in range(1000)], levels=levels)
    await page.goto(f"/runs/{run}")
    await expect(row(page, "line 1").first).to_be_visible()

    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(current(page)).to_contain_text("line 1")
    active = await grid(page).get_attribute("aria-activedescendant")
    assert active == await current(page).get_attribute("id")
    await page.keyboard.press("k")
    await expect(current(page)).to_contain_text("line 0")
    await page.keyboard.press("e")
    await expect(current(page)).to_contain_text("line 400")
    await page.keyboard.press("e")
    await expect(current(page)).to_contain_text("line 800")
    await page.keyboard.press("E")
    await expect(current(page)).to_contain_text("line 400")
    await page.keyboard.press("G")
    await expect(current(page)).to_contain_text("line 999")
    await page.keyboard.press("g")
    await page.keyboard.press("g")
    await expect(current(page)).to_contain_text("line 0")


async def test_a_link_leads_anyone_to_the_line(
    site: Site, page: Page, context: BrowserContext
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"line {index}" for index in range(3000)])
    await page.goto(f"/runs/{run}")
    await page.get_by_role("textbox", name="Go to a time").fill("2026-11-24T14:35:07Z")
    await page.keyboard.press("Enter")
    await expect(current(page)).to_contain_text("line 2107")
    await grid(page).focus()
    await page.keyboard.press("p")
    await expect(page.get_by_text("The link to the line copied")).to_be_visible()
    link = await page.evaluate("navigator.clipboard.readText()")

    other = await context.new_page()
    await other.goto(link)
    await expect(grid(other).locator(".named")).to_contain_text("line 2107")
    await expect(grid(other).locator(".named")).to_be_in_viewport()


async def test_a_line_that_is_not_there_is_told_and_the_run_is_shown(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow("Failed to load resource")
    run = await make_run(site.api)
    await post_lines(site.api, run, ["the only line"])
    await page.goto(f"/runs/{run}?line=00000000-0010-80f2-9c00-000000000000")
    await expect(page.get_by_text("no such line")).to_be_visible()
    await expect(row(page, "the only line")).to_be_visible()


async def test_tracebacks_json_and_colours_are_read_as_they_are_meant(
    site: Site, page: Page
) -> None:
    run = await make_run(site.api)
    said = [TRACEBACK, 'batch {"rows": 5, "shard": 2}', "\x1b[31mred\x1b[0m and \x1b]0;x\x07plain"]
    await post_lines(site.api, run, said)
    await page.goto(f"/runs/{run}")
    folded = row(page, "the load failed")
    await expect(folded).to_contain_text("ConnectionError: reset")
    await expect(folded).to_contain_text("+4 lines")
    await expect(folded).not_to_contain_text("line 3, in load")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(folded).to_contain_text("line 3, in load")
    # What is below makes room.
    unfolded, below = await folded.bounding_box(), await row(page, "batch").bounding_box()
    assert unfolded is not None
    assert below is not None
    assert unfolded["height"] > 5 * 20
    assert below["y"] >= unfolded["y"] + unfolded["height"]
    await page.keyboard.press("Enter")
    await expect(folded).not_to_contain_text("line 3, in load")

    await row(page, "batch").get_by_role("button", name=re.compile("Unfold")).click()
    await expect(row(page, "batch")).to_contain_text('  "rows": 5')
    # A match that is folded away unfolds its line.
    await page.get_by_role("textbox", name="Search lines").fill("srv/flow")
    await expect(folded.locator("mark.current")).to_have_text("srv/flow")
    await expect(row(page, "red").locator(".ansi-red")).to_have_text("red")
    await expect(row(page, "red").locator(".text")).to_have_text("red and plain")


async def test_selected_lines_are_copied(site: Site, page: Page, context: BrowserContext) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"line {index}" for index in range(100)])
    await page.goto(f"/runs/{run}?time=utc")
    await row(page, "line 3").first.click()
    await page.keyboard.press("J")
    await page.keyboard.press("c")
    await expect(page.get_by_text("2 lines copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "line 3\nline 4"
    await page.keyboard.press("C")
    await expect(page.get_by_text("2 lines copied")).to_have_count(2)
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[0] == ("2026-11-24 14:00:03.000 INFO     prefect.flow_runs: line 3")


async def test_the_lines_that_match_are_downloaded(site: Site, page: Page, tmp_path: Path) -> None:
    run = await make_run(site.api)
    await post_lines(
        site.api, run, [f"line {index}" for index in range(500)], levels={7: 40, 300: 40}
    )
    await page.goto(f"/runs/{run}?level=40")
    await expect(grid(page)).to_have_attribute("aria-rowcount", "2")
    await page.get_by_role("button", name="Download").click()
    await page.get_by_role("radio", name="CSV").check()
    await page.get_by_role("radio", name="Those that match").check()
    async with page.expect_download() as downloading:
        await page.get_by_role("dialog").get_by_role("button", name="Download").click()
    await (await downloading.value).save_as(tmp_path / "lines.csv")
    lines = (tmp_path / "lines.csv").read_text().splitlines()
    assert len(lines) == 3
    assert "line 300" in lines[2]


async def test_a_page_that_could_not_be_read_says_so_and_is_read_again(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.allow("Failed to load resource")
    run = await make_run(site.api)
    await post_lines(site.api, run, [f"line {index}" for index in range(2000)])
    await page.goto(f"/runs/{run}")
    await expect(row(page, "line 0").first).to_be_visible()
    refusal = {"detail": "s3 does not answer"}
    await page.route("**/api/tailrace/logs", lambda route: route.fulfill(status=503, json=refusal))
    await page.get_by_role("textbox", name="Go to a time").focus()
    await grid(page).evaluate("grid => grid.scrollTop = 1000 * 24")
    failed = grid(page).get_by_text("could not be read: s3 does not answer").first
    await expect(failed).to_be_visible()
    await page.unroute("**/api/tailrace/logs")
    await grid(page).get_by_role("button", name="Try again").first.click()
    await expect(row(page, "line 1000")).to_be_visible()


async def test_lines_of_one_task_run_are_shown_alone_under_its_name(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    task = await site.api.post(
        "/task_runs/",
        json={
            "flow_run_id": run,
            "task_key": "load",
            "dynamic_key": "0",
            "name": "load-0",
            "state": {"type": "COMPLETED"},
        },
    )
    await post_lines(site.api, run, ["of the flow"])
    await post_lines(site.api, run, ["of the task"], first=1, task_run_id=task.json()["id"])
    await page.goto(f"/runs/{run}")
    await expect(row(page, "of the task")).to_contain_text("load-0")
    await row(page, "of the task").hover()
    await row(page, "of the task").get_by_role("button", name="About this line").click()
    await page.get_by_role("button", name="Only this task run").click()
    await expect(grid(page)).to_have_attribute("aria-rowcount", "1")
    await expect(page.get_by_role("button", name="Task run load-0")).to_be_visible()


async def test_a_run_without_lines_says_so(site: Site, page: Page) -> None:
    run = await make_run(site.api)
    await page.goto(f"/runs/{run}")
    await expect(page.get_by_text("This run has no lines")).to_be_visible()


async def test_the_log_view_is_accessible(site: Site, page: Page, axe: Axe) -> None:
    run = await make_run(site.api)
    levels = {1: 10, 2: 30, 3: 40, 4: 50}
    said = [TRACEBACK, "debug", "warning", "\x1b[33merror\x1b[0m", "\x1b[31mcritical", "a needle"]
    await post_lines(site.api, run, said, levels=levels)
    await page.goto(f"/runs/{run}?text=needle&level=0")
    await expect(current(page)).to_contain_text("a needle")
    await page.keyboard.press("k")
    assert await axe(page) == []
    await grid(page).focus()
    await page.keyboard.press("i")
    await expect(page.get_by_role("dialog")).to_contain_text(
        re.compile("In PostgreSQL|object store")
    )
    assert await axe(page) == []
