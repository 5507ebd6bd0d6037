"""One side of a comparison: requests to one server, and what it answered."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from tests.differential.routes import Routes

_NO_BODY = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request, as a reader wants to see it, and its answer. Of what is not `told`, only the status
    and the wrong fields count."""

    method: str
    path: str
    request: str
    answer: httpx.Response
    told: bool = True


class Conversation:
    """Requests to one server, in order. `now` is the same moment on both sides, in whole seconds,
    for times that a request names; `routes` are the reference's, `shared_routes` those of both."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        now: dt.datetime,
        routes: Routes,
        shared_routes: Collection[str],
    ) -> None:
        self._client = client
        self.now = now
        self.routes = routes
        self.shared_routes = shared_routes
        self.exchanges: list[Exchange] = []

    def at(self, seconds: float) -> str:
        """The time so many seconds from `now`, as a request says it."""
        return (self.now + dt.timedelta(seconds=seconds)).isoformat()

    async def ask(
        self,
        method: str,
        path: str,
        body: object = _NO_BODY,
        *,
        content: bytes | None = None,
        params: Mapping[str, str | int | bool] | None = None,
        headers: Mapping[str, str] | None = None,
        told: bool = True,
    ) -> Any:
        """One request; gives the body of the answer, parsed if it is JSON. `content` instead of
        `body` is sent as it is, said to be JSON unless `headers` say otherwise. If it is not `told`,
        the body of a good answer is not compared."""
        if content is not None:
            sent: dict[str, Any] = {"content": content}
            headers = {"content-type": "application/json", **(headers or {})}
        else:
            sent = {} if body is _NO_BODY else {"json": body}
        answer = await self._client.request(method, path, params=params, headers=headers, **sent)
        written = answer.request.content[:2000].decode("utf-8", "replace")
        self.exchanges.append(
            Exchange(
                method=method,
                path=path,
                request=f"{method} {answer.request.url.raw_path.decode()} {written}",
                answer=answer,
                told=told,
            )
        )
        return body_of(answer)

    async def until(self, path: str, body: object, holds: Callable[[Any], bool]) -> None:
        """POST until the answer is as it should be. That is not compared, for each side may ask as
        often as it takes."""
        for _ in range(150):
            if holds((await self._client.post(path, json=body)).raise_for_status().json()):
                return
            await asyncio.sleep(0.1)
        raise TimeoutError(f"{path} does not become what it should be")

    async def get(self, path: str, **more: Any) -> Any:
        """GET."""
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: object = _NO_BODY, **more: Any) -> Any:
        """POST."""
        return await self.ask("POST", path, body, **more)

    async def put(self, path: str, body: object = _NO_BODY, **more: Any) -> Any:
        """PUT."""
        return await self.ask("PUT", path, body, **more)

    async def patch(self, path: str, body: object = _NO_BODY, **more: Any) -> Any:
        """PATCH."""
        return await self.ask("PATCH", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Any:
        """DELETE."""
        return await self.ask("DELETE", path, **more)


Sequence: TypeAlias = Callable[[Conversation], Awaitable[None]]


def body_of(answer: httpx.Response) -> Any:
    """The body, parsed if it is JSON."""
    if answer.headers.get("content-type", "").startswith("application/json") and answer.content:
        return answer.json()
    return answer.text
