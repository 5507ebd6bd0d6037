"""The settings: what the server runs with and why, and what this browser shows."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
from playwright.async_api import Browser, Locator, Page, expect

from app.services import ServicesConfig
from app.settings import load_settings
from tests.processes import ApiProcess
from tests.ui.conftest import Axe

Screenshots = Callable[[Page, str], Awaitable[list[Path]]]


async def test_settings_tell_the_server_its_standing_and_where_each_value_comes_from(
    browser: Browser, services_config: ServicesConfig, axe: Axe, screenshots: Screenshots
) -> None:
    settings = load_settings({"port": 4321}).told()
    async with (
        ApiProcess.run(replace(services_config, settings=settings)) as api,
        httpx.AsyncClient(base_url=api.url, trust_env=False) as client,
        await browser.new_context(base_url=api.url.removesuffix("/api")) as context,
    ):
        page = await context.new_page()
        told = (await client.get("/tailrace/settings")).json()
        await page.goto("/settings")
        await _look_at(page, told["version"], told["prefect_version"], api.url, len(settings))
        assert await axe(page) == []
        await screenshots(page, "settings")
        await page.get_by_label("Only what is set").check()
        await expect(_rows(page)).to_have_text([re.compile("TAILRACE_PORT.*4321.*Command line")])
        await page.keyboard.press("/")
        await page.keyboard.type("nothing like that")
        await expect(page.get_by_text("No setting matches.")).to_be_visible()


def _rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Configuration in force").locator("tbody tr")


async def _look_at(page: Page, version: str, prefect: str, api_url: str, settings: int) -> None:
    server = page.get_by_role("region", name="Server")
    await expect(server.get_by_text(version, exact=True)).to_be_visible()
    await expect(server.get_by_text(f"Prefect {prefect}")).to_be_visible()
    await expect(server.locator("dd").filter(has_text=re.compile("^Yes$"))).to_have_count(2)
    access = page.get_by_role("region", name="Access")
    await expect(access.get_by_text("Nobody must sign in here")).to_be_visible()
    await expect(access.get_by_text(f"export PREFECT_API_URL={api_url}")).to_be_visible()
    await expect(_rows(page)).to_have_count(settings)
    await page.keyboard.press("/")
    await page.keyboard.type("listens 65535")
    await expect(_rows(page)).to_have_text([re.compile("TAILRACE_PORT.*4321.*Command line")])
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await expect(_rows(page)).to_have_count(settings)


async def test_theme_and_clock_are_kept_for_the_browser(page: Page) -> None:
    await page.goto("/settings")
    await page.get_by_label("Dark", exact=True).check()
    await page.get_by_label("UTC", exact=True).check()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.goto("/")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.goto("/settings")
    await expect(page.get_by_label("Dark", exact=True)).to_be_checked()
    await expect(page.get_by_label("UTC", exact=True)).to_be_checked()
