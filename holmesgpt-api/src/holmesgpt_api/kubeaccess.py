"""Where the API server is and who we are there: the pod's account in a cluster, the file of KUBECONFIG outside one."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoAccessError(Exception):
    """Why there is no API server to ask; the text is for /config and the log."""


@dataclass(frozen=True)
class Access:
    server: str
    tls: ssl.SSLContext | bool
    token_file: Path | None = None  # read for each request: the kubelet replaces it
    token: str = ""

    def headers(self) -> dict[str, str]:
        token = self.token_file.read_text().strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def find(env: Mapping[str, str], account: Path = ACCOUNT) -> Access:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        if host:
            server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
            if not (account / "token").exists():
                raise NoAccessError("no service account token is mounted")
            return Access(server, ssl.create_default_context(cafile=str(account / "ca.crt")), account / "token")
        if env.get("KUBECONFIG"):
            return of_kubeconfig(Path(env["KUBECONFIG"]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration, yaml.YAMLError) as error:
        raise NoAccessError(f"the access to the API server cannot be read ({type(error).__name__})") from None
    raise NoAccessError("not in a cluster and KUBECONFIG is not set")


def of_kubeconfig(file: Path) -> Access:
    """The current context, with a token or a client certificate; programs that give credentials are not run."""
    content = yaml.safe_load(file.read_text())
    context = _named(content["contexts"], content["current-context"])["context"]
    cluster = _named(content["clusters"], context["cluster"])["cluster"]
    user = _named(content["users"], context["user"])["user"]
    if not str(cluster["server"]).startswith("https://"):
        return Access(cluster["server"], True, token=str(user.get("token", "")))
    authority = _bytes(cluster, "certificate-authority", file.parent)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    certificate, key = (_bytes(user, name, file.parent) for name in ("client-certificate", "client-key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile(suffix=".pem") as pair:  # ssl reads a key from a file alone
            pair.write(certificate + b"\n" + key)
            pair.flush()
            tls.load_cert_chain(pair.name)
    token = user.get("token") or (_bytes(user, "tokenFile", file.parent) or b"").decode().strip()
    if not token and not certificate:
        raise NoAccessError("the kubeconfig's user has neither a token nor a client certificate")
    return Access(cluster["server"], tls, token=token)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _bytes(section: dict[str, Any], key: str, folder: Path) -> bytes | None:
    if section.get(key + "-data"):
        return base64.b64decode(section[key + "-data"])
    return (folder / section[key]).read_bytes() if section.get(key) else None
