"""Pages of a run against a plain list: by offset and by cursor, filtered or not, wherever the lines
lie, and while offload moves them."""

import uuid
from collections.abc import AsyncIterator

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import FlowRunIdFilter, LevelFilter, Log, LogCreate, LogFilter, TextFilter
from storage.logs import kept_lines, numbered, reader, segment, source_rows, streams
from storage.logs.kept_lines import BlockOf, Keys
from storage.logs.lines import Key, microseconds_of, seq_of, to_logs
from storage.logs.offload import offload_pass
from storage.logs.planner import Source
from storage.logs.predicate import Predicate
from storage.logs.source_rows import RowGroup
from storage.logs.streams import Wanted
from tests.storage.test_log_tier import line, of_run, offload_everything, post, read

# A batch of lines is their times; a number instead is an offload of the batches before.
STEPS = st.lists(
    st.lists(st.integers(0, 30), min_size=1, max_size=40) | st.just("offload"),
    min_size=1,
    max_size=8,
)


def key(log: Log) -> Key:
    return microseconds_of(log.timestamp), seq_of(log.id)


@pytest.fixture
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many row groups in few lines; the offsets that are searched for are near ones."""
    for module, name, value in (
        (segment, "ROW_GROUP_ROWS", 4),
        (segment, "WRITE_ROWS", 8),
        (reader, "FEW_ROWS", 3),
        (reader, "NEAR_MATCHES", 3),
        (streams, "STREAM_ROWS", 7),
        (source_rows, "ROW_GROUPS_PER_FETCH", 2),
        (numbered, "SLACK_ROWS", 3),
        (kept_lines, "NEIGHBOURS", 3),
        (kept_lines, "BLOCKS_AT_ONCE", 2),
    ):
        monkeypatch.setattr(module, name, value)


async def _written(services: Services, run: uuid.UUID, steps: list[list[int] | str]) -> None:
    other = new_id()
    for number, step in enumerate(steps):
        if isinstance(step, str):
            await offload_everything(services)
            continue
        lines: list[LogCreate] = []
        for place, second in enumerate(step):
            message = f"{number}.{place} {'word' if (number + place) % 3 else 'other'}"
            lines.append(line(second, run=run, level=10 * (1 + place % 5), message=message))
            lines.append(line(second, run=other, level=50, message="a word of another"))
        await post(services, *lines)


async def _model(services: Services, run: uuid.UUID) -> list[Log]:
    """The run's lines, found without any merge: one page across all runs."""
    every = await read(services, LogFilter(), limit=10_000)
    mine = [log for log in every if log.flow_run_id == run]
    assert mine == sorted(mine, key=key)
    return mine


@given(steps=STEPS, data=st.data())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_pages_are_parts_of_the_whole(
    services: Services, small_row_groups: None, steps: list[list[int] | str], data: st.DataObject
) -> None:
    run = new_id()
    await _written(services, run, steps)
    model = await _model(services, run)
    level = LogFilter(flow_run_id=FlowRunIdFilter(any_=[run]), level=LevelFilter(ge_=40))
    text = LogFilter(flow_run_id=FlowRunIdFilter(any_=[run]), text=TextFilter(query="word"))
    for log_filter, lines in (
        (of_run(run), model),
        (level, [log for log in model if log.level >= 40]),
        (text, [log for log in model if "word" in log.message]),
    ):
        offset = data.draw(st.integers(0, len(model) + 2))
        limit = data.draw(st.integers(1, 12))
        page = await read(services, log_filter, offset=offset, limit=limit)
        assert page == lines[offset : offset + limit]
        page = await read(services, log_filter, offset=offset, limit=limit, descending=True)
        assert page == lines[::-1][offset : offset + limit]
        # What was counted for the page before is known now.
        near = await read(services, log_filter, offset=1, limit=limit)
        assert near == lines[1 : 1 + limit]

        start = data.draw(st.sampled_from(model)) if model else None
        place = key(start) if start else (0, 0)
        forward = await services.logs.beyond(log_filter, place, backward=False, limit=limit)
        assert forward == [log for log in lines if key(log) > place][:limit]
        backward = await services.logs.beyond(log_filter, place, backward=True, limit=limit)
        assert backward == [log for log in lines[::-1] if key(log) < place][:limit]
        before = await services.logs.lines_before(log_filter, place)
        assert before == len([log for log in lines if key(log) < place])

    if model:
        last = model[-1]
        assert await services.logs.key_of(run, seq_of(last.id)) == key(last)
        only = Predicate("name = ?", ("nobody",))
        assert not await services.logs.beyond(of_run(run), None, backward=False, limit=5, also=only)
    assert await services.logs.key_of(new_id(), 1) is None
    assert [log async for part in _stream(services, run) for log in part] == model


async def test_a_far_line_is_found_without_the_lines_before_it(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four segments of 8 row groups, and 8 hot batches, whose lines alternate in time."""
    monkeypatch.setattr(segment, "ROW_GROUP_ROWS", 1000)
    monkeypatch.setattr(segment, "WRITE_ROWS", 8000)
    monkeypatch.setattr(reader, "FEW_ROWS", 1000)
    run = new_id()
    for part in range(4):
        await post(services, *[line(i, run=run) for i in range(part, 40_000, 5)])
        await offload_everything(services)
    for start in range(4, 40_000, 5000):
        await post(services, *[line(i, run=run) for i in range(start, start + 5000, 5)])
    rows_of_keys = rows_of_lines = 0
    keys_of, neighbours_of = kept_lines._keys_of, kept_lines._neighbours_of

    def keys(of: BlockOf, body: bytes | RowGroup) -> Keys:
        nonlocal rows_of_keys
        rows_of_keys += of.block.rows
        return keys_of(of, body)

    def neighbours(
        part: tuple[BlockOf, Keys], numbers: list[int], body: bytes | RowGroup
    ) -> list[pa.Table]:
        nonlocal rows_of_lines
        rows_of_lines += part[0].block.rows
        return neighbours_of(part, numbers, body)

    monkeypatch.setattr(kept_lines, "_keys_of", keys)
    monkeypatch.setattr(kept_lines, "_neighbours_of", neighbours)
    for offset in (0, 10_000, 20_123, 33_333, 39_800):
        for descending in (False, True):
            rows_of_keys = rows_of_lines = 0
            page = await read(services, of_run(run), offset=offset, descending=descending)
            numbers = range(40_000)[:: -1 if descending else 1][offset : offset + 200]
            assert [log.message for log in page] == [f"line {i}" for i in numbers]
            # Of each source the keys around the guesses, and the lines of the blocks that the page is in.
            assert rows_of_keys <= 5 * 3 * 1000, (offset, rows_of_keys)
            assert rows_of_lines <= 5 * 2 * 1000, (offset, rows_of_lines)
            rows_of_keys = rows_of_lines = 0
            place = key(page[0])
            before = await services.logs.lines_before(of_run(run), place)
            assert before == numbers[0]
            # The page before and the one after begin with neighbours of those that were read.
            for backward in (False, True):
                near = await services.logs.beyond(of_run(run), place, backward=backward, limit=3)
                beside = [before - 1 - i if backward else before + 1 + i for i in range(3)]
                assert [log.message for log in near] == [
                    f"line {i}" for i in beside if 0 <= i < 40_000
                ]
            assert rows_of_keys <= 5 * 1000, (offset, rows_of_keys)


async def test_lines_that_match_are_counted_once_and_then_found(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four segments whose lines alternate in time, 10 row groups each; one line in ten is an error."""
    monkeypatch.setattr(segment, "ROW_GROUP_ROWS", 1000)
    monkeypatch.setattr(segment, "WRITE_ROWS", 8000)
    run = new_id()
    for part in range(4):
        lines = [
            line(i, run=run, level=40 if (i // 4) % 10 == 5 else 20) for i in range(part, 40_000, 4)
        ]
        await post(services, *lines)
        await offload_everything(services)
    errors = [i for i in range(40_000) if (i // 4) % 10 == 5]
    wanted = LogFilter(flow_run_id=FlowRunIdFilter(any_=[run]), level=LevelFilter(ge_=40))
    whole = source_rows.SourceRows.rows
    groups = source_rows.SourceRows.row_groups
    read_rows = counted_rows = 0

    async def counted(
        rows_: source_rows.SourceRows,
        payloads: source_rows.Payloads,
        source: Source,
        first: int,
        rows: int,
        *,
        keep: bool = True,
    ) -> pa.Table:
        nonlocal read_rows
        read_rows += rows
        return await whole(rows_, payloads, source, first, rows, keep=keep)

    async def counted_groups(
        rows_: source_rows.SourceRows, source: Source, key: str, blocks: list[source_rows.Block]
    ) -> list[source_rows.RowGroup]:
        nonlocal counted_rows
        counted_rows += sum(block.rows for block in blocks)
        return await groups(rows_, source, key, blocks)

    monkeypatch.setattr(source_rows.SourceRows, "rows", counted)
    monkeypatch.setattr(source_rows.SourceRows, "row_groups", counted_groups)
    for offset in (2_000, 1_000, 3_900, 3, 3_999):
        for descending in (False, True):
            read_rows = 0
            page = await read(services, wanted, offset=offset, descending=descending)
            numbers = errors[:: -1 if descending else 1][offset : offset + 200]
            assert [log.message for log in page] == [f"line {i}" for i in numbers]
            # 200 lines lie in about 3 row groups of each source.
            assert read_rows <= 4 * 8 * 1000, (offset, read_rows)
            before = await services.logs.lines_before(wanted, key(min(page, key=key)))
            assert before == errors.index(min(numbers))
    assert counted_rows == 40_000
    assert await read(services, wanted, offset=4_000) == []


async def _stream(services: Services, run: uuid.UUID) -> AsyncIterator[list[Log]]:
    streams = services.logs.streams
    async for table in streams.lines(Wanted(log_filter=of_run(run)), await streams.now()):
        yield to_logs(table)


async def test_a_download_is_of_its_moment_while_lines_come_and_move(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_ROWS", 50)
    run = new_id()
    for start in range(0, 3000, 100):
        await post(
            services, *[line(i // 100, run=run, message=f"m{i}") for i in range(start, start + 100)]
        )
    found: list[Log] = []
    async for part in _stream(services, run):
        found += part
        # The rest of the hot batches go, others come.
        await offload_pass(services.pool, services.objects, force=True)
        await post(services, line(60, run=run, message="late"))
    assert [log.message for log in found] == [
        log.message
        for log in await read(services, of_run(run), limit=5000)
        if log.message != "late"
    ]
    assert len({log.id for log in found}) == 3000
