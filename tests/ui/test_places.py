"""Every page opens, by its address and from the navigation."""

import pytest
from playwright.async_api import Page, expect

PAGES = {
    "/": "Overview",
    "/runs": "Runs",
    "/logs": "Explore logs",
    "/flows": "Flows",
    "/deployments": "Deployments",
    "/agents": "Agents",
    "/archive": "Archive",
    "/sql": "SQL",
    "/jobs": "Jobs",
    "/settings": "Settings",
}


@pytest.mark.parametrize(("path", "name"), PAGES.items())
async def test_the_navigation_leads_to_each_page_and_so_does_its_address(
    page: Page, path: str, name: str
) -> None:
    await page.goto("/nowhere")
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    link = page.get_by_role("navigation", name="Places").get_by_role("link", name=name, exact=True)
    await link.click()
    await expect(link).to_have_attribute("aria-current", "page")
    await expect(page.locator("h1")).to_be_visible()
    title = await page.title()

    await page.goto(path)
    await expect(link).to_have_attribute("aria-current", "page")
    await expect(page).to_have_title(title)
