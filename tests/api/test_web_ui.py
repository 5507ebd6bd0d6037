"""The UI's files: who may read them, how long they are kept, and what is none of theirs."""

import json
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.api.access import Access, AccessMiddleware
from app.api.web_ui import is_open, web_ui


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build of two files."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Tailrace</title>")
    (tmp_path / "assets" / "index-abc.js").write_text("export {}")
    return tmp_path


async def test_every_path_of_the_ui_is_its_one_page_and_its_files_are_kept_for_good(
    built: Path,
) -> None:
    async with AsyncTestClient(Litestar(web_ui(built))) as client:
        for path in ("/", "/runs", "/runs/0190a", "/api-like"):
            page = await client.get(path)
            assert page.status_code == 200, path
            assert "Tailrace" in page.text
            assert page.headers["cache-control"] == "no-cache"
            assert "script-src 'self'" in page.headers["content-security-policy"]
            assert "unsafe" not in page.headers["content-security-policy"]
        script = await client.get("/assets/index-abc.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "immutable" in script.headers["cache-control"]
        assert (await client.get("/assets/index-old.js")).status_code == 404


async def test_the_page_of_a_run_names_its_files_before_any_script_asks_for_them(
    built: Path,
) -> None:
    chunks = {
        "src/main.ts": {"file": "assets/index-abc.js", "isEntry": True},
        "_shared.js": {"file": "assets/shared-1.js", "css": ["assets/shared-1.css"]},
        "src/pages/run/Run.svelte": {
            "file": "assets/Run-1.js",
            "imports": ["_shared.js", "src/main.ts"],
            "css": ["assets/Run-1.css"],
        },
        "src/pages/sql/Sql.svelte": {"file": "assets/Sql-1.js", "imports": ["_shared.js"]},
    }
    (built / "manifest.json").write_text(json.dumps(chunks))
    async with AsyncTestClient(Litestar(web_ui(built))) as client:
        links = (await client.get("/runs/0190a")).headers["link"].split(", ")
        others = [await client.get(path) for path in ("/", "/runs", "/sql")]
    scripts = {link.split(">")[0][1:] for link in links if link.endswith("rel=modulepreload")}
    styles = {link.split(">")[0][1:] for link in links if "as=style" in link}
    assert scripts == {"/assets/Run-1.js", "/assets/shared-1.js", "/assets/index-abc.js"}
    assert styles == {"/assets/Run-1.css", "/assets/shared-1.css"}
    assert not any("link" in page.headers for page in others)


async def test_files_go_compressed_to_who_takes_them_so(built: Path) -> None:
    async with AsyncTestClient(Litestar(web_ui(built))) as client:
        for encoding, sent in (("gzip, br", "gzip"), ("identity", None)):
            script = await client.get("/assets/index-abc.js", headers={"Accept-Encoding": encoding})
            assert script.headers.get("content-encoding") == sent
            assert script.text == "export {}"
            assert script.headers["vary"] == "Accept-Encoding"


async def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    async with AsyncTestClient(Litestar(web_ui(tmp_path / "none"))) as client:
        answer = await client.get("/runs")
    assert answer.status_code == 404
    assert "make ui" in answer.text


async def test_an_unknown_path_of_the_api_is_no_page(client: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/flows/nothing/at/all"):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert "html" not in answer.headers["content-type"]
    assert (await client.post("/nothing", json={})).status_code == 404


async def test_the_page_is_open_where_the_api_asks_who_calls(built: Path) -> None:
    app = Litestar(web_ui(built))
    app.asgi_handler = AccessMiddleware(Access("admin:pass"))(app.asgi_handler)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/runs")).status_code == 200
        for path in ("/api/flows", "/api//flows", "/v1/logs"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/runs")).status_code == 401


@pytest.mark.parametrize("path", ["/api", "//api/docs", "/v1/logs", "///v1", "/api/"])
def test_no_spelling_of_an_api_path_is_open(path: str) -> None:
    assert not is_open("GET", path)
