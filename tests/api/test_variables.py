"""Variables, by id and by name."""

import httpx


async def test_a_variable_is_made_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/variables/", json={"name": "a_b-1", "value": {"x": [1, None]}})
    assert made.status_code == 201
    variable = made.json()
    assert variable["value"] == {"x": [1, None]}
    assert variable["tags"] == []
    for path in (f"/variables/{variable['id']}", "/variables/name/a_b-1"):
        assert (await client.get(path)).json() == variable

    answer = await client.patch("/variables/name/a_b-1", json={"value": None, "tags": ["t"]})
    assert (answer.status_code, answer.content) == (204, b"")
    changed = (await client.get("/variables/name/a_b-1")).json()
    assert (changed["value"], changed["tags"], changed["name"]) == (None, ["t"], "a_b-1")
    assert changed["updated"] > variable["updated"]
    assert (
        await client.patch(f"/variables/{variable['id']}", json={"name": "b"})
    ).status_code == 204

    assert (await client.delete("/variables/name/b")).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        for path in ("/variables/name/b", f"/variables/{variable['id']}"):
            answer = await client.request(method, path, content=b"{}")
            assert answer.status_code == 404
            assert answer.json() == {"detail": "Variable not found."}


async def test_a_name_is_taken_once(client: httpx.AsyncClient) -> None:
    assert (await client.post("/variables/", json={"name": "a", "value": 1})).status_code == 201
    answer = await client.post("/variables/", json={"name": "a", "value": 2})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "A variable with the name 'a' already exists."}
    assert (await client.post("/variables/", json={"name": "b", "value": 1})).status_code == 201
    assert (await client.patch("/variables/name/b", json={"name": "a"})).status_code == 409


MISFITS: list[tuple[dict[str, object], list[str]]] = [
    ({"name": "Upper", "value": 1}, ["body", "name"]),
    ({"name": "blank ", "value": 1}, ["body", "name"]),
    ({"name": "line\n", "value": 1}, ["body", "name"]),
    ({"name": "n" * 256, "value": 1}, ["body", "name"]),
    ({"name": "a"}, ["body", "value"]),
    ({"value": 1}, ["body", "name"]),
    ({"name": "a", "value": "x" * 4999}, ["body", "value"]),
    ({"name": "a", "value": 1, "color": "red"}, ["body", "color"]),
    ({"name": "a", "value": 1, "tags": "t"}, ["body", "tags"]),
]


async def test_what_does_not_fit_is_named(client: httpx.AsyncClient) -> None:
    for body, loc in MISFITS:
        answer = await client.post("/variables/", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["exception_detail"][0]["loc"] == loc


async def test_a_value_is_kept_faithfully(client: httpx.AsyncClient) -> None:
    for number, text in enumerate(("123456789012345678901234567890", "1.5", '"x"', "[]", "true")):
        body = f'{{"name":"v{number}","value":{text}}}'
        answer = await client.post("/variables/", content=body)
        assert answer.status_code == 201
        answer = await client.get(f"/variables/name/v{number}")
        assert f'"value":{text},' in answer.text
    longest = await client.post("/variables/", json={"name": "longest", "value": "x" * 4998})
    assert longest.status_code == 201
    nul = await client.post("/variables/", content=b'{"name":"nul","value":"a\\u0000"}')
    assert nul.status_code == 422


async def test_variables_are_found_by_filter(client: httpx.AsyncClient) -> None:
    for name, tags in (("apple", "xy"), ("banana", "x"), ("cherry", "")):
        await client.post("/variables/", json={"name": name, "value": 0, "tags": list(tags)})

    async def names(**body: object) -> list[str]:
        answer = await client.post("/variables/filter", json=body)
        assert answer.status_code == 200
        return [variable["name"] for variable in answer.json()]

    assert await names() == ["apple", "banana", "cherry"]
    assert await names(sort="NAME_DESC", limit=2) == ["cherry", "banana"]
    assert await names(offset=1, limit=1) == ["banana"]
    assert await names(limit=0) == []
    assert await names(variables={"tags": {"all_": ["x"]}}) == ["apple", "banana"]
    assert await names(variables={"tags": {"is_null_": True}}) == ["cherry"]
    assert await names(variables={"name": {"like_": "AN"}}) == ["banana"]
    assert await names(variables={"name": {"any_": []}}) == []
    either = {"operator": "or_", "name": {"any_": ["cherry"]}, "tags": {"all_": ["y"]}}
    assert await names(variables=either) == ["apple", "cherry"]
    assert (await client.post("/variables/count")).json() == 3
    assert (await client.post("/variables/count", json={"variables": either})).json() == 2
    answer = await client.post("/variables/filter", json={"limit": 201})
    assert answer.status_code == 422
    answer = await client.post("/variables/filter", json={"variables": {"value": 1}})
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "variables", "value"]
