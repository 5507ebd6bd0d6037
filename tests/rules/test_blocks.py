"""What follows from the contents of blocks."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.blocks import MASK, checksum, masked, references, secret_fields, updated
from app.wire.base import Json

INNER: Json = {
    "title": "Inner",
    "type": "object",
    "properties": {
        "user": {"type": "string", "title": "User"},
        "password": {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "title": "Password",
        },
    },
    "required": ["user"],
    "block_type_slug": "inner",
    "secret_fields": ["password"],
    "block_schema_references": {},
}

leaves = st.none() | st.integers(0, 9) | st.sampled_from(["x", "y"])
deep = st.dictionaries(st.sampled_from("abc"), leaves, max_size=2)
objects = st.dictionaries(
    st.sampled_from("abc"),
    leaves | deep | st.dictionaries(st.sampled_from("abc"), deep, max_size=2) | st.lists(leaves),
    max_size=3,
)


def test_a_checksum_is_the_one_that_clients_look_for() -> None:
    known = "sha256:8698e441f16759897e312bff2f4c5855ee649e13be3e6d2a03182bceafe20dfe"
    assert checksum(INNER) == known
    assert checksum({**INNER, "secret_fields": []}) == known
    assert checksum({**INNER, "title": "Other"}) != known


def test_only_definitions_that_matter_count() -> None:
    plain: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
    inner = {**INNER, "properties": {"p": {"$ref": "#/definitions/P"}}}
    outer: Json = {"properties": {"inner": {"$ref": "#/definitions/Inner"}}}
    with_all = {**outer, "definitions": {"Inner": inner, "P": plain, "Unused": plain}}
    assert checksum(with_all) == checksum({**with_all, "definitions": {"Inner": inner, "P": plain}})
    assert checksum(with_all) != checksum({**with_all, "definitions": {"Inner": inner}})


def test_secrets_are_masked_wherever_they_lie() -> None:
    data: Json = {
        "token": "t",
        "none": None,
        "creds": {"user": "u", "password": {"a": 1}},
        "many": [{"password": "p"}, {"user": "u"}],
        "deep": {"a": {"b": [1, {"c": 2}]}},
        "flat": "x",
    }
    paths = secret_fields(
        {"secret_fields": ["token", "none", "creds.password", "many.password", "deep.*", "flat.*"]}
    )
    assert masked(data, paths) == {
        "token": MASK,
        "none": None,
        "creds": {"user": "u", "password": MASK},
        "many": [{"password": MASK}, {"user": "u"}],
        "deep": {"a": {"b": [MASK, {"c": MASK}]}},
        "flat": MASK,
    }
    assert secret_fields({}) == []


@given(objects, st.lists(st.sampled_from(["a", "b", "c", "a.b", "b.*", "*"]), max_size=3))
def test_sending_back_what_was_shown_changes_nothing(data: Json, paths: list[str]) -> None:
    shown = masked(data, [path.split(".") for path in paths])
    if not any(isinstance(value, list) for value in data.values()):
        assert updated(data, shown, merge=True) == data
    assert updated(data, {}, merge=True) == data
    assert updated(data, {}, merge=False) == {}


def test_references_name_documents() -> None:
    target = uuid.uuid4()
    data: Json = {"a": {"$ref": {"block_document_id": str(target)}}, "b": {"c": 1}}
    assert references(data) == {"a": target}
    broken: Json
    for broken in ({"$ref": "x"}, {"$ref": {}}, {"$ref": {"block_document_id": "x"}}):
        with pytest.raises(ValueError):  # noqa: PT011 - any is fine
            references({"a": broken})
