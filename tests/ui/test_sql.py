"""SQL is written, run, looked at and taken away in the browser."""

import contextlib
import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from playwright.async_api import BrowserContext, Locator, Page, expect

from storage.sql.tables import TABLES
from tests.ui.conftest import Axe, Complaints, Site
from tests.ui.log_runs import make_run, post_lines

# Longer than any test waits.
ENDLESS = "SELECT count(*) FROM range(100000000000) AS a(x) WHERE x % 7 = 3 AND sqrt(x) > 2"


def statement(page: Page) -> Locator:
    """The editor."""
    return page.get_by_role("textbox", name="SQL statement")


def cell(page: Page, text: str) -> Locator:
    """A cell of the result with just this text."""
    return page.get_by_role("grid", name="Result").get_by_role("gridcell", name=text, exact=True)


async def write(page: Page, sql: str) -> None:
    """Put a statement into the editor, in place of what is there."""
    await statement(page).click()
    await page.keyboard.press("Control+a")
    await page.keyboard.insert_text(sql)


async def some_lines(site: Site, count: int = 30) -> str:
    """A run with lines of three levels; gives its id."""
    run = await make_run(site.api)
    levels = {index: (20, 30, 40)[index % 3] for index in range(count)}
    messages = [f'line {index}, "so" it says' for index in range(count)]
    await post_lines(site.api, run, messages, levels=levels)
    return run


async def test_a_statement_is_completed_run_by_keys_and_its_ids_lead_to_runs(
    site: Site, page: Page
) -> None:
    run = await some_lines(site)
    await page.goto("/sql")
    await statement(page).click()
    await page.keyboard.type(f"SELECT flow_run_id, level_n FROM logs WHERE flow_run_id = '{run}'")
    # Back to the unfinished name.
    for _ in range(len(f" FROM logs WHERE flow_run_id = '{run}'")):
        await page.keyboard.press("ArrowLeft")
    await page.keyboard.type("a")
    offer = page.get_by_role("option", name="level_name")
    await expect(offer).to_contain_text("varchar of logs")
    # An offer takes no key in its first moment, lest somebody who types accepts it.
    await page.wait_for_timeout(150)
    await page.keyboard.press("Enter")
    await expect(statement(page)).to_contain_text("SELECT flow_run_id, level_name FROM logs")
    await page.keyboard.press("Control+End")
    await page.keyboard.insert_text(" GROUP BY ALL ORDER BY 2")
    await page.keyboard.press("Control+Enter")

    await expect(page.get_by_role("status").filter(has_text="3 rows")).to_be_visible()
    await expect(cell(page, "WARNING")).to_be_visible()
    link = cell(page, run).first.get_by_role("link")
    await expect(link).to_have_attribute("href", f"/runs/{run}")
    # The address alone shows the same.
    await page.goto(page.url)
    await expect(cell(page, "WARNING")).to_be_visible()


async def test_a_result_is_sorted_copied_and_keeps_every_digit(
    site: Site, page: Page, context: BrowserContext
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto("/sql")
    await write(
        page,
        "SELECT * FROM (VALUES (9007199254740993, NULL), (5, 'a\tb'),"
        " (-9223372036854775808, '{\"k\": [1, 2]}')) AS t(number, word)",
    )
    await page.keyboard.press("Control+Enter")
    await expect(cell(page, "9007199254740993")).to_be_visible()
    rows = page.get_by_role("grid", name="Result").get_by_role("row")
    header = page.get_by_role("columnheader", name="number")
    await header.get_by_role("button").click()
    await expect(header).to_have_attribute("aria-sort", "descending")
    await expect(rows.nth(1)).to_contain_text("9007199254740993")
    await header.get_by_role("button").click()
    await expect(rows.nth(1)).to_contain_text("-9223372036854775808")

    await page.get_by_role("grid", name="Result").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text('"k": [')
    await page.keyboard.press("Escape")
    await page.get_by_role("grid", name="Result").focus()
    await page.keyboard.press("Control+c")
    await expect(page.get_by_text("The value was copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == '{"k": [1, 2]}'
    await page.get_by_role("button", name="Copy all").click()
    await expect(page.get_by_text("3 rows copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert list(csv.reader(copied.splitlines(), delimiter="\t")) == [
        ["number", "word"],
        ["-9223372036854775808", '{"k": [1, 2]}'],
        ["5", "a\tb"],
        ["9007199254740993", ""],
    ]


async def test_a_wrong_statement_is_marked_where_it_is_wrong(
    page: Page, complaints: Complaints
) -> None:
    complaints.allow(r"status of 422")
    await page.goto("/sql")
    await write(page, "SELECT level,\n  nothing FROM logs")
    await page.keyboard.press("Control+Enter")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text('Referenced column "nothing" not found')
    await expect(page.locator(".cm-wrong")).to_have_text("nothing")
    await alert.get_by_role("button", name="Line 2, column 3").click()
    await page.keyboard.insert_text("name AS ")
    await expect(page.locator(".cm-wrong")).to_have_count(0)
    await expect(statement(page)).to_contain_text("name AS nothing FROM logs")


async def test_a_download_has_all_rows_and_not_only_those_that_are_shown(
    site: Site, page: Page, tmp_path: Path
) -> None:
    run = await some_lines(site, 250)
    await page.goto("/sql")
    await page.get_by_label("Rows").select_option("100")
    await write(page, f"SELECT message FROM logs WHERE flow_run_id = '{run}' ORDER BY timestamp")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("The first 100 rows; there are more")).to_be_visible()
    await page.get_by_role("button", name="Download").click()
    async with page.expect_download() as download:
        await page.get_by_role("dialog").get_by_role("button", name="CSV").click()
    path = tmp_path / "result.csv"
    await (await download.value).save_as(path)
    with path.open(newline="") as file:
        assert [row["message"] for row in csv.DictReader(file)] == [
            f'line {index}, "so" it says' for index in range(250)
        ]


async def test_cancel_ends_the_work_on_the_server(
    site: Site, page: Page, eventually: Callable[..., Awaitable[None]]
) -> None:
    await page.goto("/sql")
    await write(page, ENDLESS)
    await page.get_by_role("button", name="Run", exact=True).first.click()
    await eventually(a_statement_runs)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("status").filter(has_text="Cancelled after")).to_be_visible()
    await eventually(no_statement_runs)
    await expect(page.get_by_role("button", name="Run", exact=True).first).to_be_enabled()


async def a_statement_runs() -> bool:
    """Whether a process below this one runs a statement."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "storage.sql.child" in process.cmdline():
                return True
    return False


async def no_statement_runs() -> bool:
    """The opposite."""
    return not await a_statement_runs()


async def test_a_result_is_drawn_and_run_again_from_the_history(site: Site, page: Page) -> None:
    run = await some_lines(site)
    await page.goto("/sql")
    await write(
        page,
        f"SELECT timestamp, level, length(message) AS long FROM logs WHERE flow_run_id = '{run}'",
    )
    await page.keyboard.press("Control+Enter")
    await page.get_by_role("button", name="Chart").click()
    drawn = page.get_by_role("img", name="Chart of level, long by timestamp, 30 points")
    await expect(drawn.locator("canvas")).to_be_visible()
    await page.get_by_label("x", exact=True).select_option("level")
    await page.get_by_label("Chart", exact=True).select_option("bar")
    await expect(page.get_by_role("img", name="by level")).to_be_visible()

    await write(page, "SELECT 42 AS answer")
    await page.get_by_role("button", name="History").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("30 rows")
    await dialog.get_by_role("button", name="Run").click()
    await expect(page.get_by_role("status").filter(has_text="30 rows")).to_be_visible()
    await expect(statement(page)).to_contain_text("length(message)")


async def test_the_views_beside_the_editor_are_those_of_the_server(site: Site, page: Page) -> None:
    await page.goto("/sql")
    views = page.get_by_role("complementary", name="Views")
    for name in ("logs", *TABLES):
        described = (await site.api.post("/tailrace/sql", json={"sql": f"DESCRIBE {name}"})).json()
        expected = [
            row[0] + row[1].replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ").lower()
            for row in described["rows"]
        ]
        listed = views.locator("details", has=page.locator(f"summary code:text-is('{name}')"))
        shown = await listed.locator("li button").all_text_contents()
        assert [text.strip() for text in shown] == expected


async def test_the_page_is_accessible_with_and_without_a_result(
    page: Page,
    axe: Axe,
    screenshots: Callable[[Page, str], Awaitable[list[Path]]],
) -> None:
    await page.goto("/sql")
    await expect(statement(page)).to_be_visible()
    assert await axe(page) == []
    await write(page, "SELECT range AS number, range * 2 AS twice FROM range(500)")
    await page.keyboard.press("Control+Enter")
    await expect(cell(page, "1")).to_be_visible()
    assert await axe(page) == []
    await screenshots(page, "sql")
    await page.get_by_role("button", name="Chart").click()
    await expect(page.locator("canvas")).to_be_visible()
    assert await axe(page) == []
