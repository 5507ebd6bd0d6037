"""What the API tells of the settings."""

import re
from dataclasses import replace

import pytest

from app.services import ServicesConfig
from app.settings import load_settings
from tests.conftest import client_of, started_app


async def test_settings_tell_their_origin_and_no_secret(
    services_config: ServicesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_DATABASE_URL", "postgresql://me:topsecret@db/tailrace")
    monkeypatch.setenv("TAILRACE_ENCRYPTION_KEY", "topsecret topsecret")
    told = load_settings({"port": 4321}).told()
    async with (
        started_app(replace(services_config, settings=told)) as app,
        client_of(app) as client,
    ):
        answer = await client.get("/tailrace/settings")
        assert answer.status_code == 200, answer.text
        assert "topsecret" not in answer.text
        body = answer.json()
        assert (body["protocol_version"], body["prefect_version"]) == ("0.8.4", "3.8.8")
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", body["version"])
        assert not body["access_required"]
        settings = {each["name"]: each for each in body["settings"]}
        shown = {
            name: (each["value"], each["origin"], each["variable"])
            for name, each in settings.items()
        }
        assert shown["port"] == ("4321", "flag", "TAILRACE_PORT")
        assert shown["database_url"] == ("********", "environment", "TAILRACE_DATABASE_URL")
        assert shown["s3_bucket"] == (None, "default", "TAILRACE_S3_BUCKET")
        assert "1 to 65535" in settings["port"]["description"]
