"""The text query's grammar, case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.logs.text import TextQuery, parse_text_query


@pytest.mark.parametrize(
    ("query", "parsed"),
    [
        ("", TextQuery()),
        ("   ", TextQuery()),
        ("error", TextQuery(any_of=("error",))),
        ("error timeout", TextQuery(any_of=("error", "timeout"))),
        ("-debug !trace", TextQuery(none_of=("debug", "trace"))),
        ("+required optional", TextQuery(any_of=("optional",), all_of=("required",))),
        ('"connection refused"', TextQuery(any_of=("connection refused",))),
        ('-"a b" +"c d"', TextQuery(all_of=("c d",), none_of=("a b",))),
        (r'"say \"hi\""', TextQuery(any_of=('say "hi"',))),
        (r'"back\\slash and \n"', TextQuery(any_of=(r"back\slash and \n",))),
        (r"back\slash", TextQuery(any_of=(r"back\slash",))),
        ('"never closed', TextQuery(any_of=("never closed",))),
        ('bare"quoted"', TextQuery(any_of=("bare", "quoted"))),
        ("- + !", TextQuery()),
        ('""', TextQuery()),
        ("100% _x_", TextQuery(any_of=("100%", "_x_"))),
        ("well-known", TextQuery(any_of=("well-known",))),
    ],
)
def test_a_query_parses_to_its_terms(query: str, parsed: TextQuery) -> None:
    assert parse_text_query(query) == parsed


@given(st.text(max_size=200))
def test_every_text_is_a_query_without_empty_terms(query: str) -> None:
    parsed = parse_text_query(query)
    assert all(parsed.any_of + parsed.all_of + parsed.none_of)
