"""The one connection to the model endpoint: no retries, no redirects, no proxy, and a deadline for the whole answer."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import openai

from holmesgpt_api.investigator.holmes.arguments import repair

MAX_ANSWER_BYTES = 4 << 20
NO_KEY = "none"  # the SDK demands one


class UnusableError(httpx.TransportError):
    """The answer is no chat completion, or larger than any."""


class _Bounded(httpx.SyncByteStream):
    """The whole body, inside one deadline: the client's time-out counts per read, and a body that drips passes it."""

    def __init__(self, inner: httpx.SyncByteStream, until: float, good: bool) -> None:
        self._inner, self._until, self._good = inner, until, good

    def __iter__(self) -> Iterator[bytes]:
        content = bytearray()
        for chunk in self._inner:
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise UnusableError("the answer is too large")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer took too long")
        yield self._checked(bytes(content))

    def _checked(self, content: bytes) -> bytes:
        try:
            return repair(content) if self._good else content
        except ValueError as error:
            raise UnusableError(str(error)) from None

    def close(self) -> None:
        self._inner.close()


class DeadlineTransport(httpx.BaseTransport):
    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + (request.extensions["timeout"]["read"] or 0)
        response = self._inner.handle_request(request)
        stream = _Bounded(response.stream, until, response.status_code == 200)  # type: ignore[arg-type]  # of a synchronous transport
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    def close(self) -> None:
        self._inner.close()


def base_url(endpoint: str) -> str:
    """`/v1` is added to an endpoint without a path."""
    trimmed = endpoint.rstrip("/")
    return trimmed if urlsplit(trimmed).path else trimmed + "/v1"


def connect(
    endpoint: str, key: str | None, tls: ssl.SSLContext, transport: httpx.BaseTransport | None
) -> openai.OpenAI:
    """One client for all requests; `transport` replaces the network in tests."""
    inner = transport or httpx.HTTPTransport(verify=tls, trust_env=False, limits=httpx.Limits(max_connections=128))
    client = httpx.Client(transport=DeadlineTransport(inner), follow_redirects=False, trust_env=False, verify=tls)
    client.headers["Accept-Encoding"] = "identity"  # the body is read before the client decodes it
    return openai.OpenAI(api_key=key or NO_KEY, base_url=base_url(endpoint), max_retries=0, http_client=client)
