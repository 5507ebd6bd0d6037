"""Runs with lines for the tests of the log view, and what the view shows of them."""

import asyncio
import datetime as dt
from typing import Any

import httpx
from playwright.async_api import Locator, Page

START = dt.datetime(2026, 11, 24, 14, 0, tzinfo=dt.UTC)
POSTED = 1000


async def make_run(api: httpx.AsyncClient, state: str = "COMPLETED") -> str:
    """A run in this state; gives its id."""
    flow = await api.post("/flows/", json={"name": "logged"})
    body = {"flow_id": flow.json()["id"], "state": {"type": state}}
    made = await api.post("/flow_runs/", json=body)
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


async def post_lines(
    api: httpx.AsyncClient,
    run_id: str,
    messages: list[str],
    *,
    first: int = 0,
    level: int = 20,
    levels: dict[int, int] | None = None,
    task_run_id: str | None = None,
) -> None:
    """One line a second from START on; message `index` is of `levels[index]` if that is there."""
    lines = [
        {
            "name": "prefect.flow_runs",
            "level": (levels or {}).get(index, level),
            "message": message,
            "timestamp": (START + dt.timedelta(seconds=index)).isoformat(),
            "flow_run_id": run_id,
            "task_run_id": task_run_id,
        }
        for index, message in enumerate(messages, start=first)
    ]
    for at in range(0, len(lines), POSTED):
        posted = await api.post("/logs/", json=lines[at : at + POSTED])
        assert posted.status_code == 201, posted.text


async def messages_of(api: httpx.AsyncClient, run_id: str) -> list[str]:
    """All messages of a run, as the API orders them."""
    found: list[str] = []
    while True:
        body = {
            "logs": {"flow_run_id": {"any_": [run_id]}},
            "sort": "TIMESTAMP_ASC",
            "limit": 200,
            "offset": len(found),
        }
        page: list[dict[str, Any]] = (await api.post("/logs/filter", json=body)).json()
        if not page:
            return found
        found += [line["message"] for line in page]


def grid(page: Page) -> Locator:
    """The lines."""
    return page.get_by_role("grid", name="Log lines")


def row(page: Page, text: str) -> Locator:
    """The row in view with this text."""
    return grid(page).get_by_role("row").filter(has_text=text)


def current(page: Page) -> Locator:
    """The row that the keys act on."""
    return grid(page).locator(".row.current")


_IN_VIEW = """grid => [...grid.querySelectorAll('[role=row]')].map(row =>
  [Number(row.ariaRowIndex), row.querySelector('.text')?.textContent ?? null])"""


async def in_view(page: Page) -> dict[int, str | None]:
    """The first line of each message in view by its number from 1 on; None where it is being read."""
    return dict(await grid(page).evaluate(_IN_VIEW))


async def read_through(page: Page) -> list[str]:
    """Go from the first line to the last by the keys of a reader; gives all messages as they are shown.

    Raises:
        AssertionError: a line was shown at two places, or none at one.
    """
    lines = grid(page)
    await lines.focus()
    await page.keyboard.press("Home")
    found: dict[int, str] = {}
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        assert asyncio.get_running_loop().time() < deadline, f"only {len(found)} lines were shown"
        count = int(await lines.get_attribute("aria-rowcount") or 0)
        seen = await in_view(page)
        if any(text is None for text in seen.values()) or not seen:
            await page.wait_for_timeout(20)
            continue
        for index, text in seen.items():
            assert text is not None
            assert found.setdefault(index, text) == text, f"line {index} was two lines"
        if max(seen) == count:
            assert sorted(found) == list(range(1, count + 1))
            return [found[index] for index in sorted(found)]
        await page.keyboard.press("PageDown")
        await page.wait_for_timeout(20)
