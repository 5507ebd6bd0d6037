"""The tables of a run, as markdown.

python -m bench.report                              # print the last run
python -m bench.report --write docs/benchmarks.md   # put it between the marks in that file
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.results import RESULTS_FILE, Results, ServerResults, load_results

BEGIN = "<!-- figures: written by `python -m bench.report --write` -->"
END = "<!-- end of figures -->"
NONE = "-"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value, how it is printed, and which way is better."""

    value: float
    form: str = ",.0f"
    more_is_better: bool = False


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def figures(server: ServerResults) -> dict[str, Figure]:
    """What was measured of a server, by what it is, in the order of the table."""
    found: dict[str, Figure] = {}
    cells = sorted(server.ingest, key=lambda cell: (cell.batch_lines, cell.connections))
    names = [f"batches of {cell.batch_lines:,}, {cell.connections} connections" for cell in cells]
    for name, cell in zip(names, cells, strict=True):
        found[f"log ingest, {name}, logs/s"] = Figure(
            value=cell.load.per_second, more_is_better=True
        )
    for name, cell in zip(names, cells, strict=True):
        found[f"CPU s per million logs, {name}"] = Figure(value=cell.cpu_per_million, form=",.1f")
    if server.settled_cpu_per_million is not None:
        found["CPU s per million logs, all of these, offload included"] = Figure(
            value=server.settled_cpu_per_million, form=",.1f"
        )
    if (busy := server.busy_ingest) is not None:
        name = f"batches of {busy.batch_lines:,}, {busy.connections} connections, while all is offloaded"
        found[f"log ingest, {name} and merged, logs/s"] = Figure(
            value=busy.load.per_second, more_is_better=True
        )
    for name, value in (
        ("offload", server.offload_cpu_per_million),
        ("compaction", server.compact_cpu_per_million),
    ):
        if value is not None:
            found[f"CPU s per million logs, {name}"] = Figure(value=value, form=",.1f")
    if server.size is not None:
        found["bytes per log at rest, index included"] = Figure(
            value=server.size.bytes_per_line, form=",.1f"
        )
    if server.compacted_size is not None:
        found["bytes per log at rest, compacted, index included"] = Figure(
            value=server.compacted_size.bytes_per_line, form=",.1f"
        )
    for page in server.pages:
        name = f"page of 200 logs of a run at {page.lines:,} logs"
        name += {"hot": ", hot tier", "compacted": ", compacted"}.get(page.tier, "")
        name += ", warm" if page.warm else ", any run"
        found[f"{name}, p50 ms"] = Figure(value=page.load.p50_ms, form=",.1f")
        found[f"{name}, p95 ms"] = Figure(value=page.load.p95_ms, form=",.1f")
    for kind, found_load in server.searches.items():
        found[f"{kind}, p50 ms"] = Figure(value=found_load.p50_ms, form=",.1f")
        found[f"{kind}, p95 ms"] = Figure(value=found_load.p95_ms, form=",.1f")
    for lives in server.lifecycles:
        plural = "s" if lives.connections > 1 else ""
        found[f"run lifecycles/s, {lives.connections} connection{plural}"] = Figure(
            value=lives.load.per_second, form=",.1f", more_is_better=True
        )
    for lives in server.lifecycles:
        plural = "s" if lives.connections > 1 else ""
        found[f"CPU ms per run lifecycle, {lives.connections} connection{plural}"] = Figure(
            value=lives.cpu_ms_each, form=",.1f"
        )
    for name, work in (
        ("runs handed out to 100 workers and claimed", server.polling),
        ("set_state, 64 connections", server.set_state),
    ):
        if work is not None:
            load = work.load
            found[f"{name}, per s"] = Figure(
                value=load.per_second, form=",.1f", more_is_better=True
            )
            found[f"{name}, requests, p95 ms"] = Figure(value=load.p95_ms, form=",.1f")
            found[f"{name}, refused per 100"] = Figure(
                value=100 * load.failures / load.units, form=",.1f"
            )
    for read in server.reads:
        for figure, milliseconds in (("p50", read.load.p50_ms), ("p95", read.load.p95_ms)):
            found[f"{read.runs:,} flow runs, {read.kind}, {figure} ms"] = Figure(
                value=milliseconds, form=",.1f"
            )
    if (told := server.events) is not None:
        load_name = f"task-run events on {told.sockets:,} websockets"
        found[f"{load_name}, sent per s"] = Figure(value=told.sent_per_second, more_is_better=True)
        found[f"{load_name}, {told.task_runs:,} task runs recorded, s after the last event"] = (
            Figure(value=told.lag_seconds, form=",.2f")
        )
        cpu = sum(told.cpu_seconds.values()) / told.events * 1e6
        found[f"{load_name}, CPU s per million"] = Figure(value=cpu, form=",.1f")
        for when, mib in (
            ("sockets open", told.open_mib),
            ("after 10 s", told.settled_mib),
            ("end", told.end_mib),
        ):
            found[f"{load_name}, memory of the API, {when}, MiB"] = Figure(value=mib)
    if server.visible is not None:
        found["post to visible, p50 ms"] = Figure(value=server.visible.p50_ms, form=",.1f")
        found["post to visible, p99 ms"] = Figure(value=server.visible.p99_ms, form=",.1f")
    for role in ("api", "jobs", "postgres", "s3"):
        if role in server.ingest_peak_mib:
            found[f"peak memory under ingest, {role}, MiB"] = Figure(
                value=server.ingest_peak_mib[role]
            )
    if "api" in server.ingest_largest_mib:
        found["peak memory under ingest, largest api process alone, resident MiB"] = Figure(
            value=server.ingest_largest_mib["api"]
        )
    if server.ready_seconds is not None:
        found["start on an initialised directory, s"] = Figure(
            value=server.ready_seconds, form=",.1f"
        )
    return found


def _better_by(theirs: Figure | None, ours: Figure | None) -> str:
    """How many times better Tailrace is; below 1 it is worse."""
    if theirs is None or ours is None or not theirs.value or not ours.value:
        return NONE
    ratio = ours.value / theirs.value
    return f"{ratio if ours.more_is_better else 1 / ratio:,.1f} x"


def _comparison(reference: ServerResults, tailrace: ServerResults) -> str:
    theirs, ours = figures(reference), figures(tailrace)
    # In our order, with what only the reference has at the end.
    rows = [
        [
            name,
            *(
                NONE if figure is None else format(figure.value, figure.form)
                for figure in (theirs.get(name), ours.get(name))
            ),
            _better_by(theirs.get(name), ours.get(name)),
        ]
        for name in {**ours, **theirs}
    ]
    return _table(["what", "reference", "Tailrace", "better by"], rows)


def _latency_table(results: Results) -> str:
    rows: list[list[str]] = []
    for name, server in (("reference", results.reference), ("Tailrace", results.tailrace)):
        for cell in server.ingest:
            load = cell.load
            rows.append(
                [
                    f"{name}, batches of {cell.batch_lines:,}, {cell.connections} connections",
                    f"{load.units:,}",
                    f"{load.seconds:.1f}",
                    f"{load.p50_ms:,.1f}",
                    f"{load.p95_ms:,.1f}",
                    f"{load.p99_ms:,.1f}",
                    f"{load.failures}",
                ]
            )
    header = ["ingest", "logs", "s", "p50 ms", "p95 ms", "p99 ms", "failed"]
    return _table(header, rows)


def _pipeline_table(results: Results) -> str:
    rows: list[list[str]] = []
    for bare in results.pipeline:
        cells = [c for c in results.tailrace.ingest if c.batch_lines == bare.batch_lines]
        by_rate = by_cpu = NONE
        if cells:
            rate = max(cell.load.per_second for cell in cells)
            by_rate = f"{100 * rate / bare.lines_per_second:.0f} %"
            cpu = min(cell.cpu_per_million for cell in cells)
            by_cpu = f"{100 * bare.cpu_seconds_per_million / cpu:.0f} %"
        rows.append(
            [
                f"batches of {bare.batch_lines:,}",
                f"{bare.lines_per_second:,.0f}",
                f"{bare.cpu_seconds_per_million:.1f}",
                f"{bare.bytes_per_line:.1f}",
                by_rate,
                by_cpu,
            ]
        )
    header = ["bare pipeline", "logs/s, all cores", "CPU s per M", "bytes/log"]
    return _table([*header, "Tailrace reaches by rate", "by CPU"], rows)


def _scale_table(server: ServerResults) -> str:
    rows = [
        [
            cell.kind,
            f"{cell.lines:,}",
            f"{cell.load.requests:,}",
            f"{cell.load.p50_ms:,.1f}",
            f"{cell.load.p95_ms:,.1f}",
            f"{cell.load.p99_ms:,.1f}",
            f"{cell.load.max_ms:,.1f}",
            f"{1e3 * sum(cell.cpu_seconds.values()) / cell.load.requests:,.1f}",
        ]
        for cell in sorted(server.scale, key=lambda cell: cell.kind)
    ]
    header = ["Tailrace, reading", "logs stored", "requests", "p50 ms", "p95 ms", "p99 ms"]
    return _table([*header, "slowest ms", "CPU ms each"], rows)


def _archive_table(server: ServerResults) -> str:
    rows = []
    for archive in server.archives:
        manifest = archive.size.bytes - archive.size.parts["objects"]
        rows.append(
            [
                f"{archive.lines:,} logs",
                f"{archive.size.bytes_per_line:.2f}",
                f"{100 * manifest / archive.size.bytes:.2f} %",
                *(f"{archive.peak_mib.get(role, 0.0):,.0f}" for role in ("api", "jobs")),
                f"{archive.largest_mib.get('api', 0.0):,.0f}",
                f"{archive.making_seconds:,.0f}",
                f"{archive.making_cpu_seconds / archive.lines * 1e6:.1f}",
            ]
        )
    header = ["Tailrace, archive as made", "bytes/log with index", "manifest's share", "API MiB"]
    header += ["jobs MiB", "largest API process MiB", "making s", "CPU s per M"]
    return _table(header, rows)


def render(results: Results) -> str:
    """All tables of a run."""
    machine = results.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    options = ", ".join(f"{name} {value}" for name, value in results.options.items())
    parts = [
        f"Taken {machine.date} at commit {machine.commit}: {machine.cores} cores ({machine.cpu}), "
        f"{machine.memory_gib:g} GiB, {machine.system}, Python {machine.python}, {versions}. "
        f"Load average before the start: {machine.load}. Options: {options}.",
    ]
    reference, tailrace = results.reference, results.tailrace
    parts.append(_comparison(reference, tailrace))
    if reference.ingest or tailrace.ingest:
        parts.append(_latency_table(results))
    if tailrace.scale:
        parts.append(_scale_table(tailrace))
        parts.append(_archive_table(tailrace))
    if results.pipeline:
        parts.append(_pipeline_table(results))
    for name, server in (("reference", reference), ("Tailrace", tailrace)):
        if server.size is not None:
            size = ", ".join(f"{part} {count:,}" for part, count in server.size.parts.items())
            parts.append(f"At rest, {name}: {server.size.rows:,} logs; bytes: {size}.")
    return "\n\n".join(parts) + "\n"


def write_into(file: Path, text: str) -> None:
    """Replace what is between the marks of `file`.

    Raises:
        ValueError: the file has no marks.
    """
    old = file.read_text()
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN!r} and {END!r}")
    file.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


def main() -> None:
    """Print or write the tables of the last run."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    parser.add_argument("--write", type=Path, metavar="FILE")
    given = parser.parse_args()
    if not given.results.exists():
        sys.exit(f"{given.results} is not there; run the benchmark first")
    text = render(load_results(given.results))
    if given.write is None:
        print(text)
    else:
        write_into(given.write, text)


if __name__ == "__main__":
    main()
