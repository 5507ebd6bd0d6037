"""The corpus is what its description says, and the same every time."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bench.corpus import CorpusSpec, Line, batches, corpus_runs, deal_runs, run_sizes

SPEC = CorpusSpec(lines=40_000, seed=5)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """The corpus in batches of 200, decoded."""
    cache = tmp_path_factory.mktemp("corpus")
    bodies = [body for body, _ in batches(SPEC, 200, cache)]
    return [line for body in bodies for line in msgspec.json.decode(body, type=list[Line])]


def test_a_corpus_is_the_same_every_time(tmp_path: Path) -> None:
    first = list(batches(SPEC, 200, tmp_path / "first"))
    second = list(batches(SPEC, 200, tmp_path / "second"))
    other = list(batches(CorpusSpec(lines=SPEC.lines, seed=6), 200, tmp_path / "first"))
    assert first == second
    assert first != other


def test_batch_size_changes_the_batches_and_not_the_lines(
    tmp_path: Path, lines: list[Line]
) -> None:
    small = list(batches(SPEC, 20, tmp_path))
    assert {count for _, count in small} <= set(range(1, 21))
    assert sum(count for _, count in small) == SPEC.lines
    found = Counter(
        (line.flow_run_id, line.timestamp, line.message)
        for body, _ in small
        for line in msgspec.json.decode(body, type=list[Line])
    )
    assert found == Counter((line.flow_run_id, line.timestamp, line.message) for line in lines)


def test_lines_are_shaped_as_described(lines: list[Line]) -> None:
    count = len(lines)
    assert count == SPEC.lines
    size = sum(len(msgspec.json.encode(line)) + 1 for line in lines) / count
    assert 285 < size < 305
    assert 0.015 < sum("\n" in line.message for line in lines) / count < 0.025
    of_flow_run = [line for line in lines if line.task_run_id is None]
    assert 0.09 < len(of_flow_run) / count < 0.11
    assert {line.name for line in of_flow_run} == {"prefect.flow_runs"}
    assert {line.level for line in lines} == {10, 20, 30, 40, 50}


def test_runs_have_the_lines_that_the_corpus_says(tmp_path: Path, lines: list[Line]) -> None:
    told = {run.flow_run_id: run.lines for run in corpus_runs(SPEC, tmp_path)}
    assert told == Counter(line.flow_run_id for line in lines)


def test_a_run_is_logged_in_order_by_one_worker(lines: list[Line]) -> None:
    last: dict[str, str] = {}
    for line in lines:
        assert last.get(line.flow_run_id, "") <= line.timestamp
        last[line.flow_run_id] = line.timestamp


def test_run_sizes_are_skewed_and_dealt_out_once() -> None:
    sizes = run_sizes(CorpusSpec(lines=1_000_000))
    assert sum(sizes) == 1_000_000
    assert len(sizes) == 500
    assert min(sizes) >= 5
    assert sorted(sizes)[250] < 1_500 < 10_000 < max(sizes)
    dealt = deal_runs(sizes)
    assert len(dealt) == 64
    assert sorted(size for worker in dealt for size in worker) == sorted(sizes)
