"""The connection to Data Storage: where it is, whose certificates it has, and who we are there."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from pathlib import Path

import httpx

from holmesgpt_api.config import Settings


class FileToken(httpx.Auth):
    """A bearer token, read for each request: the kubelet replaces the file. Without it nothing is sent."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            token = self._file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise httpx.RequestError(f"data_storage.token_file: {type(error).__name__}", request=request) from None
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


def connect(
    settings: Settings, tls: Callable[[str | None], ssl.SSLContext], transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    token_file = settings["data_storage.token_file"]
    return httpx.AsyncClient(
        base_url=settings["data_storage.url"] or "",
        transport=transport,
        timeout=settings.seconds("data_storage.timeout_seconds"),
        verify=tls(settings["data_storage.ca_file"]),
        auth=None if token_file is None else FileToken(token_file),
        trust_env=False,
    )
