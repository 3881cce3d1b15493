"""The policy port over an OPA server; it only asks, policies reach the server as its own read-only files or bundles.

The client library follows redirects, retries and has no deadline of its own by default, so it is wrapped (threat T30).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from opa_client.opa_async import AsyncOpaClient

from marketplace.kernel.canonical import Json, read_strictly
from marketplace.plumbing.policy import OddAnswer

LARGEST_ANSWER = 1 << 20
_QUERY = "strict-builtin-errors=true&provenance=true"
_JSON = {"Content-Type": "application/json"}
_ANSWER_KEYS = {"result", "decision_id", "provenance"}


class HardenedClient(AsyncOpaClient):
    """opa-python-client's async client without redirects, proxies and retries, reading answers strictly."""

    def __init__(self, host: str, port: int, *, ca_file: Path | None, seconds: float) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            host=host, port=port, ssl=ca_file is not None, retries=0, timeout=seconds
        )
        self._ca_file = ca_file

    async def _init_session(self) -> None:
        context = ssl.create_default_context(cafile=str(self._ca_file)) if self._ca_file else False
        self._connector = aiohttp.TCPConnector(ssl=context)
        self._session = aiohttp.ClientSession(
            connector=self._connector, timeout=aiohttp.ClientTimeout(total=self.timeout), trust_env=False
        )

    @asynccontextmanager
    async def _request(self, method: str, url: str, **kwargs: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            await self._init_session()
        assert self._session is not None
        async with self._session.request(method, url, allow_redirects=False, **kwargs) as response:
            yield response

    async def ask(self, package: str, sent: str) -> Json:
        """The server's whole answer.  Raises OddAnswer or the client's own errors."""
        url = f"{self.root_url}/data/{package.replace('.', '/')}/decision?{_QUERY}"
        async with self._request("POST", url, data=f'{{"input":{sent}}}', headers=_JSON) as response:
            if response.status != 200:
                raise OddAnswer(f"status {response.status}")
            body = await response.content.read(LARGEST_ANSWER + 1)
            while not response.content.at_eof() and len(body) <= LARGEST_ANSWER:
                body += await response.content.read(LARGEST_ANSWER + 1 - len(body))
        if len(body) > LARGEST_ANSWER:
            raise OddAnswer("the answer is too large")
        answer = read_strictly(body)
        if not isinstance(answer, dict) or "result" not in answer or not set(answer) <= _ANSWER_KEYS:
            raise OddAnswer("the answer is not a decision document")
        return answer

    async def end(self) -> None:
        """Close the session."""
        await self.close_connection()  # type: ignore[no-untyped-call]
