"""How fast the log view of the web UI is: a run's page in Chromium, as a reader waits for it.

    python -m bench.ui_speed --url http://127.0.0.1:4200 --run ID --word WORD

`WORD` should be in few lines. Measured are: from the navigation to the first line, with nothing in the
browser's cache; a search over the whole run, to the match on screen; jumps by the scroll bar to places
not read yet; the longest time that a row was not filled while the wheel turns without a rest; and memory
of the page, after a collection, before and after the run was scrolled through from end to end.
"""

import argparse
import shutil
import statistics
import time
from dataclasses import dataclass
from random import Random

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
LINE = "[role=grid] .row .text"
COLD_TIMES = 12
JUMPS = 30
WHEEL_SECONDS = 10.0
ENDS_STEPS = 400

# The longest time in a row, in milliseconds, that some row in view waited for its line.
_WATCH = """() => {
  const seen = (window.waits = { longest: 0, frames: 0, slowest: 0 });
  let since = 0, last = performance.now();
  const look = (now) => {
    seen.frames += 1;
    seen.slowest = Math.max(seen.slowest, now - last);
    last = now;
    const waiting = document.querySelector('[role=grid] .waiting');
    if (!waiting) since = 0;
    else if (!since) since = now;
    else seen.longest = Math.max(seen.longest, now - since);
    if (window.waits === seen) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""

# When the first line was drawn, by the page's own clock, which starts with the navigation.
_FIRST = """window.firstLine = new Promise((done) => {
  const look = () => {
    if (document.querySelector('[role=grid] .row .text')) done(performance.now());
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});"""

_JUMP = """async (part) => {
  const grid = document.querySelector('[role=grid]');
  const began = performance.now();
  grid.scrollTop = part * (grid.scrollHeight - grid.clientHeight);
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame(); await frame();
  while (document.querySelector('[role=grid] .waiting')) await frame();
  return performance.now() - began;
}"""


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds of several tries."""

    tries: list[float]

    def __str__(self) -> str:
        ordered = sorted(self.tries)
        median, each = statistics.median(ordered), " ".join(f"{one:.0f}" for one in ordered)
        return f"median {median:.0f} ms, longest {ordered[-1]:.0f} ms ({each})"


def first_line(browser: Browser, address: str) -> Spread:
    """From the navigation to the first line, each time in a new profile."""
    tries = []
    for _ in range(COLD_TIMES):
        context = browser.new_context()
        page = context.new_page()
        page.add_init_script(_FIRST)
        page.goto(address)
        tries.append(page.evaluate("window.firstLine"))
        context.close()
    return Spread(tries)


def find(page: Page, word: str) -> float:
    """Milliseconds from the last letter, without the pause for typing, to the match."""
    field = page.get_by_role("textbox", name="Search lines")
    field.fill(word)
    began = time.perf_counter()
    field.press("Enter")
    page.locator("mark.current").first.wait_for()
    return (time.perf_counter() - began) * 1000


def jumps(page: Page) -> Spread:
    """By the scroll bar, to random places."""
    random = Random(4)
    return Spread([page.evaluate(_JUMP, random.random()) for _ in range(JUMPS)])


def wheel(page: Page) -> dict[str, float]:
    """Turn the wheel without a rest; the longest wait for a row and the longest frame."""
    page.evaluate(_JUMP, 0.3)
    page.mouse.move(600, 500)
    page.evaluate(_WATCH)
    end = time.perf_counter() + WHEEL_SECONDS
    turns = 0
    while time.perf_counter() < end:
        page.mouse.wheel(0, 240)
        turns += 1
        page.wait_for_timeout(16)
    waits: dict[str, float] = page.evaluate("window.waits")
    page.evaluate("window.waits = null")
    return {**waits, "lines": turns * 240 / 24}


def memory(cdp: CDPSession) -> float:
    """MiB of the page's heap after a collection."""
    cdp.send("HeapProfiler.collectGarbage")
    metrics = {
        each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]
    }
    return metrics["JSHeapUsedSize"] / 2**20


def end_to_end(page: Page) -> None:
    """Stop at so many places on the way from the first line to the last, and read each."""
    for step in range(ENDS_STEPS + 1):
        page.evaluate(_JUMP, step / ENDS_STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ui_speed", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--word", required=True)
    given = parser.parse_args()
    address = f"{given.url}/runs/{given.run}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print(f"first line of a cold page: {first_line(browser, address)}")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.locator(LINE).first.wait_for()
        page.wait_for_timeout(3000)
        print(f"lines: {page.get_by_role('grid').get_attribute('aria-rowcount')}")
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        before = memory(cdp)
        print(f"jumps by the scroll bar: {jumps(page)}")
        print(f"wheel for {WHEEL_SECONDS:.0f} s: {wheel(page)}")
        once = memory(cdp)
        end_to_end(page)
        after = memory(cdp)
        print(
            f"memory: {before:.1f} MiB at first, {once:.1f} MiB, {after:.1f} MiB after end to end"
        )
        page.goto(address)
        page.locator(LINE).first.wait_for()
        page.wait_for_timeout(2000)
        print(f"search over the whole run: {find(page, given.word):.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
