"""What the server says about itself."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.services import ServicesConfig
from app.wire.base import new_id
from tests.conftest import running_lifespan
from tests.processes import free_port


async def test_a_new_client_learns_what_it_asks_for(client: httpx.AsyncClient) -> None:
    answers: dict[str, Any] = {
        "/health": True,
        "/ready": {"message": "OK"},
        "/version": "0.8.4",
        "/admin/version": "3.8.8",
        "/hello": "👋",
        "/admin/storage": {"default_result_storage_block_id": None},
    }
    for path, answer in answers.items():
        got = await client.get(path)
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("application/json")
        assert got.json() == answer
    csrf = await client.get("/csrf-token", params={"client": str(new_id())})
    assert csrf.status_code == 422
    assert csrf.json() == {"detail": "CSRF protection is disabled."}
    settings = (await client.get("/admin/settings")).json()
    assert settings["server"]["api"]["auth_string"] is None
    assert settings["server"]["api"]["default_limit"] == 200


async def test_the_default_storage_must_be_a_block_document(client: httpx.AsyncClient) -> None:
    missing = str(new_id())
    body: dict[str, Any] = {"default_result_storage_block_id": missing}
    answer = await client.put("/admin/storage", json=body)
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"Block document {missing} not found."}
    wrong: dict[str, Any]
    for wrong in ({}, {"default_result_storage_block_id": None}, {"other": missing}):
        assert (await client.put("/admin/storage", json=wrong)).status_code == 422
    assert (await client.delete("/admin/storage")).status_code == 204


@pytest.fixture
async def without_bucket(services_config: ServicesConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to an API whose S3 has gone away."""
    from app.server import create_app

    nowhere = replace(services_config.s3, endpoint_url=f"http://127.0.0.1:{free_port()}")
    app = create_app(replace(services_config, s3=nowhere))
    async with running_lifespan(app):
        transport = httpx.ASGITransport(app)  # pyrefly: ignore
        async with httpx.AsyncClient(transport=transport, base_url="http://t/api") as opened:
            yield opened


async def test_readiness_names_the_store_that_does_not_answer(
    without_bucket: httpx.AsyncClient,
) -> None:
    answer = await without_bucket.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["unavailable"] == ["s3"]
    assert (await without_bucket.get("/health")).json() is True
