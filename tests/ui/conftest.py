"""The web UI in a real Chromium, against API and jobs as processes, with the real client's runs.

    async def test_a_run_says_how_it_ended(site: Site, page: Page) -> None:
        await page.goto("/runs")
        await expect(page.get_by_role("heading", name="Runs")).to_be_visible()

A page that logs an error, breaks the Content-Security-Policy or asks another host fails its test.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

from app.api.web_ui import BUILT
from app.services import ServicesConfig
from tests.conftest import EmbeddedServers, installation, own_bucket, own_database
from tests.processes import ApiProcess, JobsProcess
from tests.tutorial.conftest import Prefect

CHROMIUM = shutil.which("chromium")
# CI says so: there a browser that is missing is a failure, not a reason to leave tests out.
REQUIRED = os.environ.get("TAILRACE_TEST_BROWSER") == "required"
# Screenshots go here when it is set; else into the test's own directory.
SCREENSHOTS = os.environ.get("TAILRACE_TEST_SCREENSHOTS")
AXE = BUILT.parent / "node_modules" / "axe-core" / "axe.min.js"
# No sandbox: CI is root in a container. Nothing asks the internet.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (380, 1280, 2560)
# An answer that is not 2xx is logged by Chromium itself; tests that provoke one allow it.
REFUSED = re.compile(r"Failed to load resource")


# Two workers, their servers and browsers share two cores in CI.
expect.set_options(timeout=20_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running installation: `url` without `/api`, `api` for requests to it, `config` to start more
    processes of it."""

    url: str
    api: httpx.AsyncClient
    config: ServicesConfig


class Violation(TypedDict):
    """What axe found on a page."""

    rule: str
    nodes: list[str]


@asynccontextmanager
async def open_site(config: ServicesConfig) -> AsyncIterator[Site]:
    """API and jobs of an installation, answering."""
    async with (
        ApiProcess.run(config) as api,
        JobsProcess.run(config),
        httpx.AsyncClient(base_url=api.url, timeout=60, trust_env=False) as client,
    ):
        yield Site(url=api.url.removesuffix("/api"), api=client, config=config)


@pytest.fixture(scope="session")
async def site(embedded_servers: EmbeddedServers) -> AsyncIterator[Site]:
    """One installation for all tests of the UI: each makes runs of its own and looks at those."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        open_site(installation(database_url, s3)) as opened,
    ):
        yield opened


@pytest.fixture
async def own_site(services_config: ServicesConfig) -> AsyncIterator[Site]:
    """An installation of this test's own, empty at first."""
    async with open_site(services_config) as opened:
        yield opened


@pytest.fixture
async def prefect(site: Site, prefect_python: Path, tmp_path: Path) -> Prefect:
    """The real client, talking to `site`."""
    return client_of_site(site, prefect_python, tmp_path)


def client_of_site(site: Site, python: Path, home: Path) -> Prefect:
    """The real client, talking to this site, at home in an empty directory."""
    return Prefect(
        python=python, home=home, config=site.config, api_url=f"{site.url}/api", api=site.api
    )


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None or not (BUILT / "index.html").is_file():
        missing = (
            "Chromium is not installed" if CHROMIUM is None else "the UI is not built: make ui"
        )
        if REQUIRED:
            pytest.fail(missing)
        pytest.skip(f"{missing}: the tests of the web UI are left out")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@dataclass(slots=True)
class Complaints:
    """What went wrong in a page beside what its test looks at."""

    said: list[str]
    allowed: re.Pattern[str] | None = None

    def allow(self, pattern: str) -> None:
        """A test that provokes errors says which."""
        self.allowed = re.compile(pattern)

    def left(self) -> list[str]:
        """Those that nobody allowed."""
        return [each for each in self.said if not self.allowed or not self.allowed.search(each)]


def watch(context: BrowserContext, host: str) -> Complaints:
    """Take down errors and foreign requests of all pages of a context."""
    complaints = Complaints([])

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.said.append(f"{message.text} ({message.location.get('url', '')})")

    context.on("console", heard)
    context.on("weberror", lambda error: complaints.said.append(str(error.error)))
    context.on(
        "request",
        lambda request: (
            complaints.said.append(f"foreign request: {request.url}")
            if urlsplit(request.url).netloc not in ("", host)
            else None
        ),
    )
    return complaints


@pytest.fixture
async def context(browser: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A new profile of the browser whose addresses are below `site`."""
    opened = await browser.new_context(
        base_url=site.url, viewport={"width": 1280, "height": 800}, color_scheme="light"
    )
    opened.set_default_timeout(20_000)
    yield opened
    await opened.close()


@pytest.fixture
async def complaints(context: BrowserContext, site: Site) -> AsyncIterator[Complaints]:
    """What the pages complain of; left without `allow`, it fails the test."""
    watched = watch(context, urlsplit(site.url).netloc)
    yield watched
    assert watched.left() == []


@pytest.fixture
async def page(context: BrowserContext, complaints: Complaints) -> Page:
    """A page of the UI: `await page.goto("/runs")`."""
    return await context.new_page()


Axe: TypeAlias = Callable[[Page], Awaitable[list[Violation]]]


@pytest.fixture(scope="session")
def axe(browser: Browser) -> Axe:
    """Check a page as it is shown now, in both themes, against WCAG 2.2 AA; gives what violates it:
    `assert await axe(page) == []`."""
    source = AXE.read_text()

    async def check(page: Page) -> list[Violation]:
        found: list[Violation] = []
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            # Evaluated by the debugger, so the page's policy does not stand in its way.
            await page.evaluate(source)
            found += await page.evaluate(_RUN_AXE)
        await page.emulate_media(color_scheme="light")
        return found

    return check


_RUN_AXE = """async () => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const { violations } = await axe.run(document, { runOnly: tags });
  return violations.map(({ id, nodes }) => ({
    rule: `${document.documentElement.dataset.theme}: ${id}`,
    nodes: nodes.map((node) => node.target.join(' ') + ': ' + node.failureSummary),
  }));
}"""


@pytest.fixture
def screenshots(tmp_path: Path) -> Callable[[Page, str], Awaitable[list[Path]]]:
    """Take a page in light and dark at three widths: `await screenshots(page, "runs")`."""
    directory = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path

    async def take(page: Page, name: str) -> list[Path]:
        directory.mkdir(parents=True, exist_ok=True)
        taken = []
        before = page.viewport_size
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900 if width < 2000 else 1300})
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                await page.wait_for_timeout(250)
                path = directory / f"{name}-{width}-{scheme}.png"
                await page.screenshot(path=path)
                taken.append(path)
        await page.emulate_media(color_scheme="light")
        if before is not None:
            await page.set_viewport_size(before)
        return taken

    return take
