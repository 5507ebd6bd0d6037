"""The index of text never rules out a row group that has a match."""

import random
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from app.wire.logs import LevelFilter, LogFilter, TextFilter
from storage.logs.index_reader import Needs, needs_of
from storage.logs.lines import LINES
from storage.logs.predicate import Predicate, both, compile_filter, matching_regex
from storage.logs.required_text import required_text
from storage.logs.segment_index import (
    IndexBuilder,
    block_extent,
    block_of,
    groups_with,
    index_place,
    parse_directory,
)
from storage.logs.text_rows import rows_holding, searched_clauses
from storage.logs.token_index import Probe, grams_of, parts_of

# What makes trouble: two columns, case, numbers, ids, and characters whose lower case is of other length.
PIECES = (
    *(
        "completed",
        "Completed()",
        "qx7f3a91c",
        "7F3A91C2",
        "deadbeef",
        "20394857",
        "order_total",
        "x",
    ),
    *(" ", "  ", "-", "/", "://", "=", "_", "'", "\n", "\x00", "%"),
    *("ä", "Ä", "ß", "İstanbul", "\u212aelvin", "\u212b", "日本", "ﬁ", "Σίσυφος", "🦆", "e\u0301"),
)
DUCKDB = duckdb.connect(config={"threads": 1})
LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "nord.\u212aern", "a")


def table_of(messages: list[str], names: list[str]) -> pa.Table:
    rows = len(messages)
    columns = {
        "seq": pa.array(range(rows), pa.int64()),
        "timestamp": pa.array([0] * rows, LINES.field("timestamp").type),
        "level": pa.array([20] * rows, pa.int32()),
        "name": pa.array(names, pa.string()),
        "message": pa.array(messages, pa.string()),
    }
    nulls = {name: pa.nulls(rows, LINES.field(name).type) for name in LINES.names}
    return pa.table(nulls | columns, schema=LINES)


def text_of(draw: random.Random, pieces: int) -> str:
    return "".join(
        draw.choice(PIECES) if draw.random() < 0.8 else f"{draw.getrandbits(32):x}"
        for _ in range(pieces)
    )


def recased(draw: random.Random, text: str) -> str:
    return "".join(each.upper() if draw.random() < 0.3 else each.lower() for each in text)


def quoted(term: str) -> str:
    return '"' + term.replace("\\", "\\\\").replace('"', '\\"') + '"'


def matches(lines: pa.Table, predicate: Predicate) -> int:
    with DUCKDB.cursor() as connection:
        connection.register("hot", lines)
        found = connection.execute(
            f"SELECT count(*) FROM hot WHERE {predicate.sql}", list(predicate.arguments)
        ).fetchone()
    assert found is not None
    return found[0]


def is_possible(lines: pa.Table, needs: Needs) -> bool:
    grams = grams_of(lines)

    def has(probe: Probe) -> bool:
        bits = grams.words if probe.word else grams.hexadecimal
        slot = probe.slot((8 * len(bits)).bit_length() - 1)
        return bool(bits[slot // 8] >> slot % 8 & 1)

    return all(
        any(all(any(all(map(has, probes)) for probes in part) for part in term) for term in clause)
        for clause in needs
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_row_group_with_a_match_is_ruled_out(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(8):
        messages = [text_of(draw, draw.randrange(12)) for _ in range(draw.randrange(1, 5))]
        lines = table_of(messages, [draw.choice(LOGGERS) for _ in messages])
        row = draw.randrange(len(messages))
        whole = f"{messages[row]} {lines.column('name')[row].as_py()}"
        first = draw.randrange(len(whole))
        term = recased(draw, whole[first : first + draw.randrange(1, 30)])
        for query in (quoted(term), f"+{quoted(term)} -nowhere", f"{quoted(term)} nowhere2"):
            log_filter = LogFilter(text=TextFilter(query=query))
            found = matches(lines, compile_filter(log_filter))
            clauses = required_text(log_filter)
            if found:
                assert is_possible(lines, needs_of(clauses)), (messages, term)
                rows = rows_holding(lines, searched_clauses(clauses))
                assert rows is None or len(rows) >= found, (messages, term)


def test_no_character_has_letters_in_its_lower_case_that_the_index_does_not_see() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    ours = pc.utf8_lower(pa.array(characters)).to_pylist()
    with DUCKDB.cursor() as connection:
        connection.register("characters", pa.table({"c": characters}))
        theirs = connection.execute("SELECT lower(c) FROM characters").fetchall()
    wrong = [
        character
        for character, one, (other,) in zip(characters, ours, theirs, strict=True)
        if str(one).encode("ascii", "ignore") != other.encode("ascii", "ignore")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("regex", "known"),
    [
        ("took .* ms", [("took ",), (" ms",)]),
        ("^Handled item", [("Handled item",)]),
        ("completed", [("completed",)]),
        ("a|b", []),
        ("colou?r", []),
        ("(?i)error", []),
        (r"\d+", []),
        ("ab*", []),
        ("x{2}", []),
    ],
)
def test_of_a_regular_expression_only_what_every_match_has_is_known(
    regex: str, known: list[tuple[str, ...]]
) -> None:
    assert required_text(LogFilter(), regex) == known


def test_text_that_is_one_of_several_conditions_is_not_required() -> None:
    text = TextFilter(query="completed")
    assert required_text(LogFilter(text=text, operator="or_")) == [("completed",)]
    either = LogFilter(text=text, level=LevelFilter(ge_=40), operator="or_")
    assert required_text(either) == []


def test_a_word_that_is_nowhere_is_ruled_out_and_one_that_is_there_is_found() -> None:
    draw = random.Random(3)
    ids = [f"{draw.getrandbits(128):032x}" for _ in range(2000)]
    lines = table_of([f"Handled {each}" for each in ids], ["prefect.flow_runs"] * len(ids))
    for there in ("handled", "FLOW_RUNS", ids[7], ids[9][3:25]):
        assert is_possible(lines, [[parts_of(there)]])
    for absent in ("qx7f3a91c", "failed", "flow_rums", f"{draw.getrandbits(128):032x}"):
        assert not is_possible(lines, [[parts_of(absent)]])


def test_a_section_says_which_row_groups_have_a_gram() -> None:
    draw = random.Random(5)
    index = IndexBuilder()
    for group in range(37):
        messages = [f"{draw.getrandbits(64):x} of shard" for _ in range(50)]
        if group % 5 == 2:
            messages[3] = "found zebra here"
        index.add(table_of(messages, ["a"] * len(messages)))
    section, said = index.encode(1000)
    place = index_place({b"tailrace.index": said})
    assert place is not None
    at = place.directory.offset - 1000
    directory = parse_directory(section[at : at + place.directory.length])
    holders: set[int] = set()
    # At an even place of the text one gram of it is kept, at an odd place the other.
    for (probe,) in parts_of("zebra")[0]:
        extent = block_extent(directory, block_of(directory, probe))
        block = section[extent.offset - 1000 :][: extent.length]
        found = groups_with(directory, probe, block).to_bytes(37, "little")
        holders.update(number for number in range(37) if found[number])
    assert sorted(holders) == list(range(2, 37, 5))


def test_a_regular_expression_and_a_text_are_both_required() -> None:
    log_filter = LogFilter(text=TextFilter(query="+alpha beta gamma"))
    assert required_text(log_filter, "de.lta") == [
        *(("de",), ("lta",), ("alpha",)),
        ("beta", "gamma"),
    ]
    lines = table_of(["alpha beta de!lta"], ["a"])
    assert matches(lines, both(compile_filter(log_filter), matching_regex("de.lta"))) == 1
