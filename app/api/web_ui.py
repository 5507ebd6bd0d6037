"""The web UI at `/`: the files that `app/ui` is built to, and its one page for every other path.

Nothing of it is secret, so nobody must sign in for it; what it shows comes from the API, which asks.
"""

import gzip
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.types import ControllerRouterHandler
from litestar.utils.path import normalize_path

BUILT = Path(__file__).parent.parent / "ui" / "dist"
# First segments of what is not the UI's: an unknown path below them is a 404 of the API's.
API_SEGMENTS = frozenset({"api", "v1"})

# Files of our own alone, no inline script or style, in nobody's frame.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # The page names the files of one build; a browser asks whether there is a newer one.
    "Cache-Control": "no-cache",
}
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # The name of a file holds a digest of its content.
    "Cache-Control": "public, max-age=31536000, immutable",
}
# What links lead to from elsewhere: the page of a run, `/runs/{id}`, by the name of its source. Its files are
# named in the answer's head, so that a browser asks for them before any script has run.
_RUN_PAGE = "src/pages/run/Run.svelte"
_NOT_BUILT = (
    "The web UI is not built in this checkout: `make ui` builds it. The API is at /api/docs.\n"
)

mimetypes.add_type("font/woff2", ".woff2")


def is_open(method: str, path: str) -> bool:
    """Whether a request is for the UI's files, which everybody may read."""
    # As the router reads a path: `//api/flows` is `/api/flows`.
    first = normalize_path(path).split("/", 2)[1]
    return method in ("GET", "HEAD") and first not in API_SEGMENTS


class _Chunk(msgspec.Struct, frozen=True):
    """A file of scripts in the build's manifest, by the name of its source or one of its own."""

    file: str
    imports: list[str] = []
    css: list[str] = []


def _links(built: Path, source: str) -> str:
    """The value of a `Link` header that names all files of the page, none if the build has no manifest."""
    manifest = built / "manifest.json"
    if not manifest.is_file():
        return ""
    chunks = msgspec.json.decode(manifest.read_bytes(), type=dict[str, _Chunk])
    scripts, styles = dict[str, None](), dict[str, None]()
    waiting = [source]
    while waiting:
        chunk = chunks[waiting.pop()]
        if chunk.file not in scripts:
            scripts[chunk.file] = None
            styles.update(dict.fromkeys(chunk.css))
            waiting.extend(chunk.imports)
    return ", ".join(
        [f"</{file}>; rel=modulepreload" for file in scripts]
        + [f"</{file}>; rel=preload; as=style; crossorigin" for file in styles]
    )


def web_ui(built: Path = BUILT) -> list[ControllerRouterHandler]:
    """The routes that serve the files of a build, which are read once, here."""
    page = built / "index.html"
    index = page.read_bytes() if page.is_file() else None
    links = _links(built, _RUN_PAGE)
    files = {
        file.name: (file.read_bytes(), mimetypes.guess_type(file.name)[0] or MediaType.TEXT)
        for file in sorted((built / "assets").glob("*"))
    }

    @cache
    def compressed(name: str) -> bytes:
        return gzip.compress(files[name][0])

    @get(
        "/assets/{name:str}",
        include_in_schema=False,
        sync_to_thread=False,
        skip_from_compression=True,
    )
    def read_asset(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
        """A script, style, font or picture of the UI."""
        if name not in files:
            raise NotFoundException(f"no file {name!r} in this build of the UI")
        content, media_type = files[name]
        headers = _FILE_HEADERS
        if not media_type.startswith("font/"):
            headers = {**headers, "Vary": "Accept-Encoding"}
            if "gzip" in request.headers.get("accept-encoding", ""):
                content = compressed(name)
                headers["Content-Encoding"] = "gzip"
        return Response(content, media_type=media_type, headers=headers)

    @get(["/", "/{path:path}"], include_in_schema=False, sync_to_thread=False)
    def read_page(path: str = "/") -> Response[bytes]:
        """The UI's page, which reads the path itself."""
        if normalize_path(path).split("/", 2)[1] in API_SEGMENTS:
            raise NotFoundException
        if index is None:
            return Response(_NOT_BUILT.encode(), status_code=404, media_type=MediaType.TEXT)
        headers = _PAGE_HEADERS
        if links and path.startswith("/runs/"):
            headers = {**headers, "Link": links}
        return Response(index, media_type=MediaType.HTML, headers=headers)

    return [read_asset, read_page]
