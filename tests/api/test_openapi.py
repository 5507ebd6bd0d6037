"""The OpenAPI document is served and says what routes take."""

from typing import Any

import httpx

# Posts that take nothing, and those whose body is not JSON of a type.
WITHOUT_BODY = {
    "/api/block_types/install_system_block_types",
    "/api/deployments/{deployment_id}/pause_deployment",
    "/api/deployments/{deployment_id}/resume_deployment",
    "/api/tailrace/archive/verification",
}


async def test_the_document_says_what_every_route_takes(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs/openapi.json")
    assert answer.status_code == 200
    paths: dict[str, Any] = answer.json()["paths"]
    silent = [
        f"{method} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method in ("post", "put", "patch") and "requestBody" not in operation
        if path not in WITHOUT_BODY
    ]
    assert silent == []
    made = paths["/api/flows"]["post"]["requestBody"]
    schema = made["content"]["application/json"]["schema"]
    assert made["required"] is True
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert paths["/api/flows/filter"]["post"]["requestBody"]["required"] is False


async def test_the_document_says_what_routes_answer(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/docs/openapi.json")).json()
    paths: dict[str, Any] = document["paths"]
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, operations in paths.items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert answers["default"]["content"]["application/json"]["schema"] == problem
            assert "400" not in answers, f"{method} {path}"
    made = paths["/api/flows"]["post"]["responses"]
    assert list(made) == ["201", "200", "422", "default"]
    bad = await client.post("/flows/", json={"name": 1})
    assert bad.status_code == 422
    assert set(bad.json()) - {"request_body"} <= set(
        document["components"]["schemas"]["Problem"]["properties"]
    )
    download = paths["/api/tailrace/logs/download"]["get"]["responses"]["200"]["content"]
    given = await client.get("/tailrace/logs/download", params={"format": "csv"})
    assert given.headers["content-type"].partition(";")[0] in download
    # 1 is an integer and a number: a union that may be only one of both would refuse it.
    labels = document["components"]["schemas"]["Flow"]["properties"]["labels"]
    assert "anyOf" in labels["additionalProperties"]


async def test_whatever_the_document_refers_to_is_in_it(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/docs/openapi.json")).json()

    def references(node: object) -> set[str]:
        if isinstance(node, list):
            return set[str]().union(*map(references, node))
        if not isinstance(node, dict):
            return set()
        mapping = node.get("discriminator", {}).get("mapping", {})
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set[str]()
        return own.union(mapping.values(), *map(references, node.values()))

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) - known == set()
