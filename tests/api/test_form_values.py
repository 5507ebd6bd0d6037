"""Values of a form checked against its schema while it is filled in."""

from typing import Any

import httpx
import pytest

from tests.api.deployed import a_name

KIND = "__prefect_kind"
BROKEN = {KIND: "json", "value": "{"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "inner": {"$ref": "#/definitions/Inner"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"minimum": 3}}}},
        "day": {"type": "string", "format": "date"},
        "word": {"enum": ["a", "b"], "type": "string", "minLength": 3},
    },
    "required": ["n"],
    "definitions": {"Inner": {"type": "object", "properties": {"x": {"type": "string"}}}},
}


async def checked(client: httpx.AsyncClient, values: object, schema: object = SCHEMA) -> Any:
    """What is wrong with the values."""
    body = {"schema": schema, "values": values}
    answer = await client.post("/ui/schemas/validate", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["valid"] == (told["errors"] == [])
    return told["errors"]


@pytest.mark.parametrize(
    "values",
    [
        {"n": 1},
        {"n": 1, "other": 5},
        {"n": 1, "inner": {"x": "a"}, "list": [{"a": 3}], "day": "2026-11-24"},
        {"n": {KIND: "json", "value": "1"}},
        {"n": {KIND: "none", "value": 1}},
        # What a template will give is not known.
        {"n": {KIND: "jinja", "template": "{{ 1 }}"}},
        {"n": 1, "inner": {KIND: "jinja", "template": "{{ x }}"}},
    ],
)
async def test_values_that_fit_are_valid(shared_client: httpx.AsyncClient, values: object) -> None:
    assert await checked(shared_client, values) == []


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({}, [{"property": "n", "errors": ["'n' is a required property"]}]),
        ({"n": "x"}, [{"property": "n", "errors": ["'x' is not of type 'integer'"]}]),
        (
            {"n": 1, "list": [{"a": 5}, {"a": 1}, 5]},
            [
                {
                    "property": "list",
                    "errors": [
                        {
                            "index": 1,
                            "errors": [
                                {"property": "a", "errors": ["1 is less than the minimum of 3"]}
                            ],
                        },
                        {"index": 2, "errors": ["5 is not of type 'object'"]},
                    ],
                }
            ],
        ),
        ({"n": 1, "day": "no"}, [{"property": "day", "errors": ["'no' is not a 'date'"]}]),
        (
            {"n": 1, "word": "q"},
            [
                {"property": "word", "errors": ["'q' is not one of ['a', 'b']"]},
                {"property": "word", "errors": ["'q' is too short"]},
            ],
        ),
        ({KIND: "none", "value": 5}, ["5 is not of type 'object'"]),
        (
            {"n": {KIND: "jinja"}},
            [{"property": "n", "errors": ["Missing 'template' key in __prefect object"]}],
        ),
        (
            {"n": {KIND: "jinja", "template": "{{ 1 "}},
            [
                {
                    "property": "n",
                    "errors": [
                        "Invalid jinja: unexpected end of template, expected 'end of print"
                        " statement'."
                    ],
                }
            ],
        ),
        (
            {"n": {KIND: "workspace_variable", "variable_name": "nobody_has_it"}},
            [
                {
                    "property": "n",
                    "errors": ["Variable 'nobody_has_it' not found in workspace."],
                }
            ],
        ),
    ],
)
async def test_each_complaint_is_told_at_its_place(
    shared_client: httpx.AsyncClient, values: object, errors: list[Any]
) -> None:
    assert await checked(shared_client, values) == errors


async def test_what_cannot_be_read_is_told_wherever_it_is(
    shared_client: httpx.AsyncClient,
) -> None:
    why = (
        "Invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    assert await checked(shared_client, BROKEN) == [why]
    told = await checked(shared_client, {"n": BROKEN})
    assert told == [{"property": "n", "errors": [why]}]
    told = await checked(shared_client, {"n": 1, "list": [{"a": 3}, BROKEN]})
    assert told == [{"property": "list", "errors": [{"index": 1, "errors": [why]}]}]


async def test_a_variable_stands_for_its_value(shared_client: httpx.AsyncClient) -> None:
    name = a_name()
    values = {"n": {KIND: "workspace_variable", "variable_name": name}}
    await shared_client.post("/variables/", json={"name": name, "value": "text"})
    assert await checked(shared_client, values) == [
        {"property": "n", "errors": ["'text' is not of type 'integer'"]}
    ]
    await shared_client.patch(f"/variables/name/{name}", json={"value": 5})
    assert await checked(shared_client, values) == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "no"}, "'no' is not valid"),
        ({"properties": 5}, "5 is not of type 'object'"),
        ({"properties": {"n": {"$ref": "#/definitions/None"}}}, "/definitions/None"),
        ({"$ref": "#"}, "circular references"),
        # Nothing is fetched.
        ({"$ref": "http://127.0.0.1:9/x"}, "http://127.0.0.1:9/x"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused(
    shared_client: httpx.AsyncClient, schema: object, words: str
) -> None:
    body = {"schema": schema, "values": {"n": 1}}
    answer = await shared_client.post("/ui/schemas/validate", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Invalid schema: ")
    assert words in answer.json()["detail"]


async def test_bad_bodies_name_the_field(shared_client: httpx.AsyncClient) -> None:
    for content, place in (
        (b"", "schema"),
        (b'{"schema": {}}', "values"),
        (b'{"schema": "x", "values": {}}', "schema"),
        (b'{"schema": {}, "values": []}', "values"),
    ):
        answer = await shared_client.post("/ui/schemas/validate", content=content)
        assert answer.status_code == 422
        assert answer.json()["exception_detail"][0]["loc"] == ["body", place]
