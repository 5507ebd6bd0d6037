"""Agents: work pools with their queues and workers, and concurrency limits."""

import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.tutorial.conftest import Prefect
from tests.ui.conftest import Axe, Complaints, Site


async def make_pool(site: Site, **more: object) -> str:
    """A pool of processes; gives its name."""
    name = f"pool-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "type": "process", **more}
    response = await site.api.post("/work_pools/", json=body)
    assert response.status_code == 201, response.text
    return name


async def read_pool(site: Site, name: str) -> dict[str, Any]:
    """The pool as the server has it."""
    found: dict[str, Any] = (await site.api.get(f"/work_pools/{name}")).json()
    return found


def row(page: Page, table: str, text: str) -> Locator:
    """The row of a table that has this text."""
    return (
        page.get_by_role("table", name=table, exact=True).get_by_role("row").filter(has_text=text)
    )


async def test_a_worker_is_seen_online_with_what_it_runs(
    site: Site, page: Page, prefect: Prefect, axe: Axe
) -> None:
    name = f"made-here-{uuid.uuid4().hex[:8]}"
    await page.goto("/agents")
    await page.get_by_role("button", name="Add work pool").click()
    dialog = page.get_by_role("dialog", name="Add work pool")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_label("Concurrency limit").fill("2")
    await dialog.get_by_role("button", name="Add work pool").click()
    await row(page, "Work pools", name).get_by_role("link").click()
    command = page.get_by_text(f"prefect worker start --pool '{name}' --type process")
    await expect(command).to_contain_text(f"PREFECT_API_URL={site.url}/api")

    deployment = await prefect.deploy("deployed", f"of-{name}", work_pool_name=name)
    async with prefect.worker(name, "--name", "ours"):
        await expect(row(page, "Workers", "ours").get_by_text("Online")).to_be_visible(
            timeout=60_000
        )
        run_id = await prefect.run_deployment(
            f"deployed/{deployment['name']}", parameters={"number": 1, "seconds": 20}
        )
        run = await prefect.reaches(run_id, "Running")
        running = row(page, "Workers", "ours").get_by_role("link", name=run["name"])
        await expect(running).to_be_visible(timeout=15_000)
        await expect(row(page, "Runs now", run["name"]).get_by_text("Running")).to_be_visible()
        await expect(page.get_by_text("1 of 2")).to_be_visible()
        assert await axe(page) == []
        await prefect.cancel(run_id)
        await prefect.reaches(run_id, "Cancelled")
        await expect(running).to_be_hidden(timeout=15_000)


async def test_a_paused_pool_says_so_and_keeps_its_runs_waiting(
    site: Site, page: Page, prefect: Prefect, axe: Axe
) -> None:
    name = await make_pool(site)
    await prefect.deploy("deployed", f"of-{name}", work_pool_name=name)
    await page.goto("/agents")
    listed = row(page, "Work pools", name)
    await listed.get_by_role("button", name=f"Pause {name}").click()
    await expect(listed.get_by_text("Paused")).to_be_visible()
    assert (await read_pool(site, name))["is_paused"]
    await prefect.run_deployment(f"deployed/of-{name}", parameters={"number": 1})
    await expect(listed.get_by_text("1 due")).to_be_visible(timeout=10_000)
    assert await axe(page) == []

    await listed.get_by_role("link").click()
    await expect(row(page, "Queues", "default").get_by_text("1 due")).to_be_visible()
    await page.get_by_role("button", name="Resume", exact=True).click()
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    assert not (await read_pool(site, name))["is_paused"]


async def test_the_limit_of_a_pool_is_edited_and_a_wrong_one_refused_beside_its_field(
    site: Site, page: Page, complaints: Complaints, axe: Axe
) -> None:
    complaints.allow("422|404")
    name = await make_pool(site, concurrency_limit=3)
    await page.goto(f"/agents/{name}")
    await page.get_by_role("button", name="Edit", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Edit {name}")
    limit = dialog.get_by_label("Concurrency limit")
    await limit.fill("-1")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Must be at least 0.")
    await expect(limit).to_be_focused()
    assert await axe(page) == []
    assert (await read_pool(site, name))["concurrency_limit"] == 3
    await limit.fill("5")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_text("0 of 5")).to_be_visible()
    assert (await read_pool(site, name))["concurrency_limit"] == 5

    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_role("button", name="Delete work pool").click()
    await expect(page).to_have_url(re.compile(r"/agents$"))
    await page.goto(f"/agents/{name}")
    await expect(page.get_by_role("heading", name="There is no such work pool")).to_be_visible()


async def test_queues_are_made_ranked_paused_and_deleted(site: Site, page: Page) -> None:
    name = await make_pool(site)
    await page.goto(f"/agents/{name}")
    await page.get_by_role("button", name="Add queue").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("urgent")
    await dialog.get_by_label("Priority").fill("1")
    await dialog.get_by_label("Concurrency limit").fill("4")
    await dialog.get_by_role("button", name="Add queue").click()
    rows = page.get_by_role("table", name="Queues").locator("tbody tr")
    await expect(rows.nth(0)).to_contain_text("urgent")
    await expect(rows.nth(0)).to_contain_text("0 of 4")

    await page.get_by_role("button", name="Edit queue urgent").click()
    await dialog.get_by_label("Priority").fill("3")
    await dialog.get_by_label("Concurrency limit").fill("")
    await dialog.get_by_role("button", name="Save").click()
    await expect(rows.nth(1)).to_contain_text("urgent")
    await expect(rows.nth(1)).to_contain_text("no limit")

    await page.get_by_role("button", name="Pause queue urgent").click()
    await expect(rows.nth(1).get_by_text("Paused")).to_be_visible()
    queue = (await site.api.get(f"/work_pools/{name}/queues/urgent")).json()
    assert (queue["is_paused"], queue["priority"], queue["concurrency_limit"]) == (True, 3, None)
    await expect(page.get_by_role("button", name="Delete queue default")).to_be_disabled()
    await page.get_by_role("button", name="Delete queue urgent").click()
    await page.get_by_role("button", name="Delete queue", exact=True).click()
    await expect(rows).to_have_count(1)
    assert (await site.api.get(f"/work_pools/{name}/queues/urgent")).status_code == 404


async def test_concurrency_limits_are_made_edited_and_deleted(
    site: Site, page: Page, axe: Axe
) -> None:
    name = f"limit-{uuid.uuid4().hex[:8]}"
    await page.goto("/agents")
    await page.get_by_role("link", name="Concurrency limits").click()
    await page.get_by_role("button", name="Add limit").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_label("Limit", exact=True).fill("5")
    await dialog.get_by_role("button", name="Add limit").click()
    listed = row(page, "Global concurrency limits", name)
    await expect(listed).to_contain_text("0 of 5")
    await site.api.post(
        "/v2/concurrency_limits/increment",
        json={"names": [name], "slots": 2, "mode": "concurrency"},
    )
    await expect(listed).to_contain_text("2 of 5", timeout=10_000)

    await page.get_by_role("button", name=f"Edit limit {name}").click()
    await dialog.get_by_label("Limit", exact=True).fill("7")
    await dialog.get_by_label("Slots freed each second").fill("0.5")
    await dialog.get_by_role("button", name="Save").click()
    await expect(listed).to_contain_text("of 7")
    kept = (await site.api.get(f"/v2/concurrency_limits/{name}")).json()
    assert (kept["limit"], kept["slot_decay_per_second"]) == (7, 0.5)

    tag = f"tag-{uuid.uuid4().hex[:8]}"
    await page.get_by_role("button", name="Add tag limit").click()
    await dialog.get_by_label("Tag", exact=True).fill(tag)
    await dialog.get_by_label("Limit").fill("3")
    await dialog.get_by_role("button", name="Add tag limit").click()
    await expect(row(page, "Task run limits by tag", tag)).to_contain_text("0 of 3")
    assert await axe(page) == []
    await page.get_by_role("button", name=f"Delete the limit of the tag {tag}").click()
    await page.get_by_role("button", name="Delete tag limit").click()
    await page.get_by_role("button", name=f"Delete limit {name}").click()
    await page.get_by_role("button", name="Delete limit", exact=True).click()
    await expect(listed).to_be_hidden()
    assert (await site.api.get(f"/v2/concurrency_limits/{name}")).status_code == 404
    assert (await site.api.get(f"/concurrency_limits/tag/{tag}")).status_code == 404


async def test_an_empty_installation_tells_the_commands_that_fill_it(
    own_site: Site, page: Page, complaints: Complaints, axe: Axe
) -> None:
    # The page is another installation's than the one that the fixtures watch.
    complaints.allow(re.escape(f"foreign request: {own_site.url}/"))
    expected = {
        "/agents": "prefect work-pool create my-pool --type process",
        "/agents?tab=served": "hello.serve(",
        "/agents?tab=limits": "prefect gcl create database --limit 5",
        "/deployments": "hello.serve(",
        "/flows": "python flow.py",
    }
    for path, command in expected.items():
        await page.goto(f"{own_site.url}{path}")
        await expect(page.get_by_text(command).first).to_be_visible()
        if path != "/agents?tab=limits":
            await expect(page.get_by_text(f"{own_site.url}/api").first).to_be_visible()
        assert await axe(page) == []


async def test_agents_look_right_at_every_width(
    site: Site, page: Page, screenshots: Callable[[Page, str], Awaitable[list[Path]]]
) -> None:
    name = await make_pool(site, concurrency_limit=4, description="Machines in the cellar")
    await page.goto("/agents")
    await expect(row(page, "Work pools", name)).to_contain_text("0 of 4")
    assert len(await screenshots(page, "agents")) == 6
    await page.goto(f"/agents/{name}")
    await expect(page.get_by_role("table", name="Queues")).to_be_visible()
    assert len(await screenshots(page, "pool")) == 6
    await page.set_viewport_size({"width": 380, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380
