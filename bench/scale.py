"""Reading a large archive over HTTP: pages of runs, a scroll through a huge run, searches.

Each load checks what it is answered: the number of lines of a page, and of a search all that there are.
"""

import re
from collections.abc import Awaitable, Iterator
from random import Random
from typing import Protocol

import msgspec

from bench.corpus import CorpusSpec, Run, batches
from bench.driver import Load, LoadFailed, LoadResult, Script, Tally, Target, page_scripts, request
from bench.made_archive import ABSENT, COMMON, RARE, Made
from bench.servers import RunningServer

SEARCH_LIMIT = 10_000
PAGE = 200
WARM_RUNS = 20
COLD_PAGES = 40
SEARCHES = 10


class ScaleCell(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one kind with so many lines stored. CPU seconds by role."""

    kind: str
    lines: int
    load: LoadResult
    cpu_seconds: dict[str, float]


class PagesOfRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Pages of 200 lines, each of any of `runs` and at any offset in it. Counts pages."""

    runs: list[Run]
    pages: int
    seconds: float = 60.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        return page_scripts(target, tally, self.runs, self.pages, connections=1)


class FirstPages(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines of as many runs, spread evenly over all and each asked for once: what a process
    that has just started reads. Counts pages."""

    runs: list[Run]
    pages: int
    seconds: float = 60.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        step = max(1, len(self.runs) // self.pages)
        chosen = self.runs[::step][: self.pages]
        Random("first pages").shuffle(chosen)
        return [_first_pages(target, tally, chosen)]


def _first_pages(target: Target, tally: Tally, runs: list[Run]) -> Script:
    for run in runs:
        query = {
            "logs": {"flow_run_id": {"any_": [run.flow_run_id]}},
            "sort": "TIMESTAMP_DESC",
            "limit": PAGE,
        }
        response = yield request(target, "POST", "/api/logs/filter", msgspec.json.encode(query))
        expected = min(PAGE, run.lines)
        if response.status != 200 or response.body.count(b'"flow_run_id"') != expected:
            raise LoadFailed(f"{expected} lines of {run.flow_run_id}: {response.body[:300]!r}")
        tally.units += 1


class ScrollLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Scroll through a run by cursor, page by page: from its beginning forward and, on a connection of
    its own, from its end backward, until both have met. Counts lines."""

    run: Run
    seconds: float = 900.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        half = self.run.lines // 2
        return [
            _scroll(target, tally, self.run, "forward", half),
            _scroll(target, tally, self.run, "backward", self.run.lines - half),
        ]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[msgspec.Raw]
    before: str
    after: str


def _scroll(target: Target, tally: Tally, run: Run, direction: str, lines: int) -> Script:
    decode = msgspec.json.Decoder(_Page).decode
    query: dict[str, object] = {"flow_run_id": run.flow_run_id, "direction": direction}
    while lines > 0 and not tally.time_is_up:
        body = msgspec.json.encode({**query, "limit": min(PAGE, lines)})
        response = yield request(target, "POST", "/api/tailrace/logs", body)
        if response.status != 200:
            raise LoadFailed(f"{response.status} {response.body[:300]!r}")
        page = decode(response.body)
        if len(page.lines) != min(PAGE, lines):
            raise LoadFailed(f"a page has {len(page.lines)} lines, {lines} are left")
        query["cursor"] = page.after if direction == "forward" else page.before
        tally.units += len(page.lines)
        lines -= len(page.lines)


class NewestLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines of all runs that match a text, at most 200; `expected` are there. Counts
    answers."""

    text: str
    expected: int
    requests: int
    seconds: float = 60.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        query = {
            "logs": {"text": {"query": self.text}},
            "sort": "TIMESTAMP_DESC",
            "limit": PAGE,
        }
        ready = request(target, "POST", "/api/logs/filter", msgspec.json.encode(query))
        return [_counted(iter([ready] * self.requests), tally, self.expected)]


class SearchLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that has a text, by Tailrace's own search; `expected` lines. Counts answers."""

    text: str
    expected: int
    requests: int
    seconds: float = 60.0

    def scripts(self, target: Target, tally: Tally) -> list[Script]:
        query = {"logs": {"text": {"query": self.text}}, "limit": SEARCH_LIMIT}
        ready = request(target, "POST", "/api/tailrace/logs/search", msgspec.json.encode(query))
        return [_counted(iter([ready] * self.requests), tally, min(SEARCH_LIMIT, self.expected))]


def _counted(feed: Iterator[bytes], tally: Tally, expected: int) -> Script:
    for query in feed:
        response = yield query
        found = response.body.count(b'"flow_run_id"')
        if response.status != 200 or found != expected:
            raise LoadFailed(
                f"{found} lines instead of {expected}, {response.status}: {query[-200:]!r}"
                f" {response.body[-300:]!r}"
            )
        tally.units += 1
        if tally.time_is_up:
            return


class Step(Protocol):
    """Measures one load against a server: what came of it, CPU seconds by role."""

    def __call__(
        self, load: Load, server: RunningServer
    ) -> Awaitable[tuple[LoadResult, dict[str, float]]]: ...


async def read_archive(
    measure: Step, server: RunningServer, made: Made, pages: int
) -> list[ScaleCell]:
    """Everything that is read of an archive with the runs of `made`, on a server that just started."""
    cells: list[ScaleCell] = []

    async def take(kind: str, load: Load) -> None:
        result, used = await measure(load, server)
        cells.append(ScaleCell(kind=kind, lines=made.lines, load=result, cpu_seconds=used))

    few_runs = Random("few runs").sample(made.runs, WARM_RUNS)
    warm = PagesOfRuns(runs=few_runs, pages=pages)
    await take("page of a run, just started", FirstPages(runs=made.runs, pages=COLD_PAGES))
    await take("page of a run, any run", PagesOfRuns(runs=made.runs, pages=pages))
    await measure(warm, server)
    await take("page of a run, warm", warm)
    if made.huge is not None:
        huge = PagesOfRuns(runs=[made.huge], pages=pages)
        await take(f"page of a run of {made.huge.lines:,} lines, any offset", huge)
        scroll = ScrollLoad(run=made.huge)
        await take(f"scroll through a run of {made.huge.lines:,} lines from both ends", scroll)
    await take(
        "newest 200 with a common word", NewestLoad(text=COMMON, expected=PAGE, requests=SEARCHES)
    )
    await take(
        "all lines with a rare word",
        SearchLoad(text=RARE, expected=made.rare_lines, requests=SEARCHES),
    )
    await take(
        "all lines with a word that is nowhere",
        SearchLoad(text=ABSENT, expected=0, requests=SEARCHES),
    )
    return cells


def searched_texts(spec: CorpusSpec) -> dict[str, tuple[str, int]]:
    """Texts to search for in an archive with the lines of `spec` and perhaps others, and how many of the
    newest 200 lines with each there are, by what they are."""
    first = next(iter(batches(spec, PAGE)))[0].decode()
    # 32 hexadecimal digits come once.
    once = re.search(r"[0-9a-f]{32}", first)
    if once is None:
        raise LoadFailed("the first lines of the corpus have no key")
    return {
        "newest 200 with a common word": (COMMON, PAGE),
        "newest 200 with a word that is there once": (once.group(), 1),
        "newest 200 with a word that is nowhere": (ABSENT, 0),
    }
