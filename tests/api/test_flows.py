"""Flows over HTTP."""

import uuid

import httpx

from storage.postgres.pool import Pool


async def test_a_flow_is_made_once_and_keeps_what_it_was_made_with(
    client: httpx.AsyncClient,
) -> None:
    body = {"name": "etl", "tags": ["a"], "labels": {"x": 1, "y": "z"}}
    made = await client.post("/flows/", json=body)
    assert made.status_code == 201
    assert made.json().items() >= body.items()
    again = await client.post("/flows/", json={"name": "etl", "tags": ["b"]})
    assert (again.status_code, again.json()) == (200, made.json())
    without_slash = await client.post("/flows", json={"name": "etl"})
    assert without_slash.status_code == 200

    id = made.json()["id"]
    assert (await client.get(f"/flows/{id}")).json() == made.json()
    assert (await client.get("/flows/name/etl")).json() == made.json()
    assert (await client.patch(f"/flows/{id}", json={"tags": ["c"]})).status_code == 204
    assert (await client.get(f"/flows/{id}")).json()["tags"] == ["c"]


async def test_what_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    nobody = uuid.uuid4()
    for answer in (
        await client.get(f"/flows/{nobody}"),
        await client.get("/flows/name/nobody"),
        await client.patch(f"/flows/{nobody}", json={"tags": []}),
        await client.delete(f"/flows/{nobody}"),
    ):
        assert (answer.status_code, answer.json()) == (404, {"detail": "Flow not found"})
    assert (await client.get("/flows/not-an-id")).status_code == 404


async def test_bad_bodies_name_the_field(client: httpx.AsyncClient) -> None:
    for body, loc in (
        (b"{}", ["body", "name"]),
        (b"", ["body"]),
        (b"null", ["body"]),
        (b'{"name":"a/b"}', ["body", "name"]),
        (b'{"name":"a","other":1}', ["body", "other"]),
        (b'{"name":"a","tags":[1]}', ["body", "tags", 0]),
        (b'{"name":"\\ud800"}', ["body"]),
        (b"{", ["body"]),
        (b"[]", ["body"]),
    ):
        answer = await client.post("/flows/", content=body)
        assert answer.status_code == 422, body
        assert answer.json()["exception_message"] == "Invalid request received."
        assert answer.json()["exception_detail"][0]["loc"] == loc, body
    nul = await client.post("/flows/", content=b'{"name":"a\\u0000"}')
    assert nul.status_code == 422


async def test_flows_are_found_counted_and_paged(client: httpx.AsyncClient) -> None:
    tagged: dict[str, list[str]] = {"alpha": ["x", "y"], "Beta": [], "gamma": ["x"]}
    for name, tags in tagged.items():
        await client.post("/flows/", json={"name": name, "tags": tags})

    async def found(**flows: object) -> list[str]:
        answer = await client.post("/flows/filter", json={"flows": flows})
        assert answer.status_code == 200
        count = await client.post("/flows/count", json={"flows": flows, "sort": "ignored"})
        names = [flow["name"] for flow in answer.json()]
        assert count.json() == len(names)
        return sorted(names)

    assert await found() == ["Beta", "alpha", "gamma"]
    assert await found(name={"like_": "A"}) == ["Beta", "alpha", "gamma"]
    assert await found(name={"like_": "bet"}) == ["Beta"]
    assert await found(name={"any_": ["alpha", "nobody"]}) == ["alpha"]
    assert await found(tags={"all_": ["x"]}) == ["alpha", "gamma"]
    assert await found(tags={"is_null_": True}) == ["Beta"]
    assert await found(id={"any_": []}) == []
    assert await found(operator="or_", name={"any_": ["Beta"]}, tags={"all_": ["y"]}) == [
        "Beta",
        "alpha",
    ]
    page = (await client.post("/flows/paginate", json={"limit": 2, "page": 2})).json()
    assert {key: page[key] for key in ("count", "limit", "pages", "page")} == {
        "count": 3,
        "limit": 2,
        "pages": 2,
        "page": 2,
    }
    assert len(page["results"]) == 1
    assert len((await client.post("/flows/filter")).json()) == 3
    names = await client.post("/flows/filter", json={"sort": "NAME_DESC", "limit": 1})
    assert names.json()[0]["name"] == "gamma"


async def test_deleting_a_flow_takes_its_runs_and_their_logs(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    flow = (await client.post("/flows/", json={"name": "etl"})).json()
    run = (await client.post("/flow_runs/", json={"flow_id": flow["id"]})).json()
    task = {"task_key": "t", "dynamic_key": "0", "flow_run_id": run["id"]}
    task = (await client.post("/task_runs/", json=task)).json()
    assert (await client.delete(f"/flows/{flow['id']}")).status_code == 204
    assert (await client.get(f"/flow_runs/{run['id']}")).status_code == 404
    assert (await client.get(f"/task_runs/{task['id']}")).status_code == 404
    dead = await pool.fetch("SELECT flow_run_id FROM log_tombstone")
    assert [str(row["flow_run_id"]) for row in dead] == [run["id"]]
