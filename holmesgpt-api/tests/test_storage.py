"""The connection to Data Storage on a real TLS socket: certificates of its own, and a token that is replaced."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fakes import settings
from holmesgpt_api import state, storage
from stubs import Answer, listening, respond

HOST = ipaddress.ip_address("127.0.0.1")


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed one for the loopback: its file, and the server's side of it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "datastorage")])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "ca.crt", folder / "both.pem"
    pem = built.public_bytes(serialization.Encoding.PEM)
    public.write_bytes(pem)
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both.write_bytes(pem + key.private_bytes(serialization.Encoding.PEM, *private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context


def test_certificates_and_token(tmp_path: Path) -> None:
    public, tls = certificate(tmp_path)
    token, file, seen = tmp_path / "token", tmp_path / "config.yaml", list[str | None]()
    token.write_text("first\n")

    def handle(path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> Answer:
        assert (path, query, body) == ("/health", {}, b"")
        seen.append(headers.get("Authorization"))
        return respond(200, {})

    async def run(url: str) -> None:
        file.write_text(f"data_storage: {{ca_file: {public}, token_file: {token}}}\n")
        given = settings(CONFIG_FILE=str(file), DATA_STORAGE_URL=url)
        async with storage.connect(given, state._verify, None) as client:
            assert (await client.get("/health")).status_code == 200
            token.write_text("second")
            assert (await client.get("/health")).status_code == 200
            token.unlink()
            with pytest.raises(httpx.RequestError, match=r"^data_storage.token_file: FileNotFoundError$"):
                await client.get("/health")
        async with storage.connect(settings(DATA_STORAGE_URL=url), state._verify, None) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get("/health")

    with listening(handle, tls) as url:
        asyncio.run(run(url))
    assert seen == ["Bearer first", "Bearer second"]
