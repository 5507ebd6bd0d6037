"""Templates checked while somebody writes them."""

import httpx
import pytest

PATHS = ("/templates/validate", "/automations/templates/validate")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("template", ["", "only text", "{{ run.name | upper }}", None])
async def test_what_can_be_rendered_is_accepted(
    shared_client: httpx.AsyncClient, path: str, template: str | None
) -> None:
    answer = await shared_client.post(path, json=template)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("template", "line", "word"),
    [
        ("{{ x", 1, "end of print statement"),
        ("first\nsecond {% nothing %}", 2, "nothing"),
        ("{% for a in b %}{{ a }}{% endfor %}", 1, "For"),
        ("{{ 10 ** 10 }}", 1, "Pow"),
        ("{{ x }}" * 2_000, 0, "10,000"),
    ],
)
async def test_what_cannot_is_refused_with_its_line(
    shared_client: httpx.AsyncClient, template: str, line: int, word: str
) -> None:
    for path in PATHS:
        answer = await shared_client.post(path, json=template)
        error = answer.json()["error"]
        assert (answer.status_code, error["line"], error["source"]) == (422, line, template)
        assert word in error["message"]


async def test_what_is_no_text_is_bad_input(shared_client: httpx.AsyncClient) -> None:
    for body in (5, {"template": "x"}, ["x"]):
        answer = await shared_client.post("/templates/validate", json=body)
        assert answer.status_code == 422
        assert answer.json()["exception_detail"][0]["loc"] == ["body"]
