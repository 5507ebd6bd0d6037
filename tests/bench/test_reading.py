"""What the benchmark reads is what the API takes."""

import datetime as dt

import httpx
import pytest

from bench.reading import KINDS

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_request_is_answered(
    kind: str, shared_client: httpx.AsyncClient
) -> None:
    path, body = KINDS[kind]
    response = await shared_client.post(path, json=body(3, NOW))
    assert response.status_code == 200, response.text
