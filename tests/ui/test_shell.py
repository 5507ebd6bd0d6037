"""What is around the pages: sign-in, palette, keys, the drawer of the places, and a server that is away."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Request, expect

from app.services import ServicesConfig
from tests.processes import ApiProcess
from tests.ui.conftest import Axe, Complaints, Site

SECRET = "admin:secret"
# The server is asked again after 1, 2, 4 … 15 s.
BACK_MILLISECONDS = 20_000


@pytest.fixture
async def plain_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for a server that the test starts and stops."""
    context = await browser.new_context()
    context.set_default_timeout(15_000)
    yield await context.new_page()
    await context.close()


async def create_run(site: Site, name: str) -> str:
    """A run of this name; gives its id."""
    flow = (await site.api.post("/flows/", json={"name": f"flow-of-{name}"})).json()
    body = {"flow_id": flow["id"], "name": name, "state": {"type": "PENDING"}}
    return str((await site.api.post("/flow_runs/", json=body)).json()["id"])


async def paste(page: Page, text: str) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.evaluate("text => navigator.clipboard.writeText(text)", text)
    await page.keyboard.press("Control+v")


async def test_where_access_is_on_people_sign_in_and_every_request_says_so(
    plain_page: Page, services_config: ServicesConfig, axe: Axe
) -> None:
    page = plain_page
    asked: list[Request] = []
    async with ApiProcess.run(services_config, auth_string=SECRET) as api:
        await page.goto(f"{api.url.removesuffix('/api')}/jobs")
        heading = page.get_by_role("heading", name="Sign in")
        await expect(heading).to_be_visible()
        await expect(page).to_have_title("Sign in · Tailrace")
        await expect(page.get_by_label("User")).to_be_focused()
        assert await axe(page) == []

        await page.get_by_label("User").fill("admin")
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text(
            "This is not the secret of this server."
        )

        page.on("request", lambda request: asked.append(request))
        await page.get_by_label("Password").fill("secret")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="No jobs process")).to_be_visible()
        for place in ("Explore logs", "Runs", "Overview", "Settings"):
            await page.get_by_role("navigation").get_by_role("link", name=place, exact=True).click()
            await expect(page.get_by_role("heading", level=1, name=place)).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("You are signed in.")).to_be_visible()
        told = {
            urlsplit(request.url).path: "authorization" in request.headers
            for request in asked
            if "/api/" in request.url and not request.url.endswith("/api/health")
        }
        assert len(told) > 5
        assert [path for path, carried in told.items() if not carried] == []

        await page.get_by_role("button", name="Sign out").click()
        await expect(heading).to_be_visible()
        await page.reload()
        await expect(heading).to_be_visible()
        await expect(page.get_by_text("This server asks for its secret")).to_be_visible()


async def test_a_secret_that_was_changed_is_asked_for_anew(
    plain_page: Page, services_config: ServicesConfig
) -> None:
    page = plain_page
    async with ApiProcess.run(services_config, auth_string=SECRET) as api:
        await page.goto(api.url.removesuffix("/api"))
        await page.get_by_label("User").fill("admin")
        await page.get_by_label("Password").fill("secret")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    async with ApiProcess.run(services_config, port=api.port, auth_string="admin:other"):
        complaint = page.get_by_text(
            "The server no longer takes the secret that you signed in with."
        )
        await expect(complaint).to_be_visible(timeout=BACK_MILLISECONDS)
        await page.get_by_label("User").fill("admin")
        await page.get_by_label("Password").fill("other")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_a_server_that_is_away_is_told_of_until_it_is_back(
    plain_page: Page, services_config: ServicesConfig, axe: Axe
) -> None:
    page = plain_page
    banner = page.get_by_role("alert").filter(has_text="The server does not answer since")
    async with ApiProcess.run(services_config) as api:
        await page.goto(f"{api.url.removesuffix('/api')}/jobs")
        await expect(page.get_by_text("No jobs process has started yet")).to_be_visible()
        await expect(banner).to_be_hidden()
    await expect(banner).to_be_visible(timeout=BACK_MILLISECONDS)
    await expect(page.get_by_text("No jobs process has started yet")).to_be_visible()
    assert await axe(page) == []
    async with ApiProcess.run(services_config, port=api.port):
        await expect(banner).to_be_hidden(timeout=BACK_MILLISECONDS)
        # What could not be read meanwhile is read without a reload.
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_the_palette_leads_to_pages_and_runs_and_does_what_can_be_done(
    page: Page, site: Site, axe: Axe
) -> None:
    run = await create_run(site, "palette-otter")
    await page.goto("/settings")
    await expect(page.get_by_role("heading", name="Configuration in force")).to_be_visible()
    palette = page.get_by_role("dialog", name="Command palette")
    field = palette.get_by_role("combobox")

    await page.keyboard.press("Control+k")
    await expect(field).to_be_focused()
    assert await axe(page) == []
    await page.keyboard.type("dark")
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(palette).to_be_hidden()

    await page.keyboard.press("Control+k")
    await page.keyboard.type("palette-otter")
    await expect(palette.get_by_role("option", name="palette-otter")).to_have_count(2)
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.url}/runs/{run}")

    await page.keyboard.press("Control+k")
    await page.keyboard.type("no such thing anywhere")
    await expect(palette.get_by_text("Nothing is called that.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(palette).to_be_hidden()


async def test_a_pasted_id_or_address_is_gone_to_at_once(page: Page, site: Site) -> None:
    run = await create_run(site, "pasted-otter")
    await page.goto("/settings")
    await page.keyboard.press("Control+k")
    await paste(page, run)
    await expect(page).to_have_url(f"{site.url}/runs/{run}")

    await page.keyboard.press("Control+k")
    await paste(page, f"http://elsewhere:4200/runs/{run}?line=7")
    await expect(page).to_have_url(f"{site.url}/runs/{run}?line=7")

    await page.keyboard.press("Control+k")
    flow = (await site.api.post("/flows/", json={"name": "pasted"})).json()
    body = {"name": "pasted", "flow_id": flow["id"]}
    deployment = (await site.api.post("/deployments/", json=body)).json()["id"]
    await paste(page, f"http://elsewhere:4200/deployments/deployment/{deployment}")
    await expect(page).to_have_url(f"{site.url}/deployments/{deployment}")


async def test_the_id_of_a_task_run_leads_to_its_lines_in_its_run(
    page: Page, site: Site, complaints: Complaints
) -> None:
    # No run has that id: the page asks, and looks further.
    complaints.allow("Failed to load resource")
    run = await create_run(site, "tasked-otter")
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0", "name": "pasted-task"}
    task = (await site.api.post("/task_runs/", json=body)).json()["id"]
    there = f"{site.url}/runs/{run}?task={task}"
    await page.goto("/settings")
    await page.keyboard.press("Control+k")
    await paste(page, task)
    await expect(page).to_have_url(there)
    for address in (f"/runs/{task}", f"/runs/task-run/{task}"):
        await page.goto(address)
        await expect(page).to_have_url(there)
    await expect(page.get_by_role("heading", name="tasked-otter")).to_be_visible()


async def test_an_address_that_the_client_prints_leads_to_its_run(
    page: Page, site: Site, complaints: Complaints
) -> None:
    complaints.allow("Failed to load resource")
    run = await create_run(site, "printed-otter")
    await page.goto(f"/runs/flow-run/{run}")
    await expect(page).to_have_url(f"{site.url}/runs/{run}")

    await page.goto("/nowhere")
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    await expect(page.locator("main code")).to_have_text("/nowhere")


async def test_the_keyboard_goes_everywhere_and_says_how(page: Page, axe: Axe) -> None:
    await page.goto("/settings")
    await expect(page.get_by_role("heading", name="Configuration in force")).to_be_visible()
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()

    await page.keyboard.press("g")
    await page.keyboard.press("j")
    await expect(page).to_have_title("Jobs · Tailrace")
    await expect(page.locator("main")).to_be_focused()

    await page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    await expect(keys.get_by_text("Next job")).to_be_visible()
    assert await axe(page) == []
    await page.keyboard.press("Escape")
    await expect(keys).to_be_hidden()

    # Whoever types writes, and goes nowhere.
    await page.get_by_label("Search jobs").focus()
    await page.keyboard.type("go s")
    await expect(page).to_have_title("Jobs · Tailrace")


async def test_on_a_narrow_screen_the_places_are_a_drawer_that_has_the_keyboard(
    page: Page, axe: Axe
) -> None:
    await page.set_viewport_size({"width": 380, "height": 800})
    await page.goto("/settings")
    menu = page.get_by_role("button", name="Places")
    places = page.get_by_role("navigation", name="Places").get_by_role("link")
    await expect(places).to_have_count(0)
    await menu.click()
    await expect(places).to_have_count(10)
    await expect(places.filter(has_text="Settings")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(places.filter(has_text="Overview")).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await expect(places.filter(has_text="Settings")).to_be_focused()
    assert await axe(page) == []

    await page.keyboard.press("Escape")
    await expect(places).to_have_count(0)
    await expect(menu).to_be_focused()

    await menu.click()
    await places.filter(has_text="Jobs").click()
    await expect(page).to_have_title("Jobs · Tailrace")
    await expect(places).to_have_count(0)
    await menu.click()
    await page.mouse.click(370, 600)
    await expect(places).to_have_count(0)
