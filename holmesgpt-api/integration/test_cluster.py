"""`kubernetes/read` with the account and the rights of config/holmesgpt on a real API server.

Needs KUBERNAUT_TEST_KUBECONFIG, an administrator's; makes a namespace of its own and removes it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from holmesgpt_api.investigator.protocol import ToolResult
from holmesgpt_api.kube import Cluster
from holmesgpt_api.kubeaccess import Access, find

RIGHTS = Path(__file__).parents[2] / "config/holmesgpt/rbac.yaml"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PAUSE = {"name": "app", "image": "none.invalid/none", "env": [{"name": "DB_PASSWORD", "value": "planted-value"}]}
PODS = 120


class Place:
    """A namespace with pods, a Secret and a ConfigMap; `reader` has the rights of the manifest, `stranger` has none."""

    def __init__(self, client: httpx.Client, access: Access, name: str) -> None:
        self.client, self.access, self.name = client, access, name

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        assert response.status_code in (200, 201), response.text
        made: dict[str, Any] = response.json()
        return made

    def account(self, name: str) -> Access:
        path = f"/api/v1/namespaces/{self.name}/serviceaccounts"
        self.make(path, {"metadata": {"name": name}})
        token = self.make(f"{path}/{name}/token", {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        # The authority alone: the administrator's certificate must not speak for the account.
        return Access(self.access.server, _trust(), token=token)


def _trust() -> ssl.SSLContext:
    content = yaml.safe_load(Path(os.environ["KUBERNAUT_TEST_KUBECONFIG"]).read_text())
    cluster = content["clusters"][0]["cluster"]
    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    access = find({"KUBECONFIG": os.environ["KUBERNAUT_TEST_KUBECONFIG"]})
    name = f"holmes-{uuid4().hex[:8]}"
    client = httpx.Client(base_url=access.server, verify=access.tls, headers=access.headers(), timeout=30)
    here = Place(client, access, name)
    here.make("/api/v1/namespaces", {"metadata": {"name": name}})
    role, binding = yaml.safe_load_all(RIGHTS.read_text())
    role["metadata"]["name"] = binding["metadata"]["name"] = binding["roleRef"]["name"] = name
    binding["subjects"][0] |= {"namespace": name, "name": "reader"}
    try:
        here.make(f"{RBAC}/clusterroles", role)
        here.make(f"{RBAC}/clusterrolebindings", binding)
        for kind in ("secrets", "configmaps"):
            here.make(
                f"/api/v1/namespaces/{name}/{kind}", {"metadata": {"name": "db"}, "stringData": {"a": "planted-value"}}
            )
        here.make(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "pods"}})
        for number in range(PODS):
            # On no node: nothing is pulled or run.
            spec = {"serviceAccountName": "pods", "nodeSelector": {"no": "node"}, "containers": [PAUSE]}
            metadata = {"name": f"cart-{number:03}", "labels": {"app": "cart"}}
            here.make(f"/api/v1/namespaces/{name}/pods", {"metadata": metadata, "spec": spec})
        yield here
    finally:
        client.delete(f"{RBAC}/clusterrolebindings/{name}")
        client.delete(f"{RBAC}/clusterroles/{name}")
        client.delete(f"/api/v1/namespaces/{name}")
        client.close()


@pytest.fixture(scope="module")
def reader(place: Place) -> Access:
    return place.account("reader")


def call(access: Access, tool: str, limit: int = 50_000, **arguments: Any) -> ToolResult:
    async def run() -> ToolResult:
        cluster = Cluster(access, "", limit)
        watch = asyncio.create_task(cluster.watch())
        await cluster.probed.wait()
        tools = {tool.name: tool for tool in cluster.tools()}
        result = await tools[tool].run(arguments)
        watch.cancel()
        await cluster.aclose()
        assert "planted-value" not in result.text
        return result

    return asyncio.run(run())


def test_pages_of_pods(place: Place, reader: Access) -> None:
    first = json.loads(
        call(reader, "kubernetes_list", kind="Pod", namespace=place.name, label_selector="app=cart").text
    )
    assert first["columns"][:3] == ["Namespace", "Name", "Ready"] and "Age" in first["columns"]
    assert (len(first["rows"]), first["rows"][0][:2]) == (100, [place.name, "cart-000"])
    token = first["continue_token"]
    rest = json.loads(
        call(
            reader, "kubernetes_list", kind="Pod", namespace=place.name, label_selector="app=cart", continue_token=token
        ).text
    )
    assert (len(rest["rows"]), rest["rows"][-1][1], "more" in rest) == (PODS - 100, "cart-119", False)


def test_an_object_without_its_environment(place: Place, reader: Access) -> None:
    result = call(reader, "kubernetes_get", kind="pod", namespace=place.name, name="cart-007")
    found = json.loads(result.text)["object"]
    assert found["spec"]["containers"][0]["env"] == [{"name": "DB_PASSWORD", "value": "[withheld]"}]
    assert "managedFields" not in found["metadata"]


def test_events_and_logs(place: Place, reader: Access) -> None:
    assert call(reader, "kubernetes_events", namespace=place.name).ok
    result = call(reader, "kubernetes_logs", namespace=place.name, pod="cart-000")
    assert not result.ok or result.text == "the log is empty"  # it never ran


def test_what_is_not_there_or_not_allowed(place: Place, reader: Access) -> None:
    missing = call(reader, "kubernetes_get", kind="Pod", namespace=place.name, name="absent")
    assert not missing.ok and "kubernetes_list" in missing.text
    stranger = call(place.account("stranger"), "kubernetes_list", kind="Pod", namespace=place.name)
    assert not stranger.ok and stranger.text.startswith("not allowed")
    bad = call(reader, "kubernetes_list", kind="Pod", namespace=place.name, field_selector="spec.secret=x")
    assert not bad.ok and "selectors" in bad.text


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "secrets", "cm", "serviceaccounts/token"])
def test_kinds_that_are_refused(place: Place, reader: Access, kind: str) -> None:
    result = call(reader, "kubernetes_get", kind=kind, namespace=place.name, name="db")
    assert not result.ok and "cannot be read" in result.text


KINDS = "nodes namespaces services endpoints pvc pv deployments rs sts ds jobs cronjobs hpa pdb ingresses netpol"


@pytest.mark.parametrize("kind", KINDS.split())
def test_kinds_that_may_be_read(reader: Access, kind: str) -> None:
    assert call(reader, "kubernetes_list", kind=kind).ok


def test_the_account_itself_can_do_no_more(place: Place, reader: Access) -> None:
    here = f"/api/v1/namespaces/{place.name}"
    with httpx.Client(base_url=reader.server, verify=reader.tls, headers=reader.headers(), timeout=30) as client:
        for path in ("secrets", "secrets/db", "configmaps", "configmaps/db", "serviceaccounts"):
            assert client.get(f"{here}/{path}").status_code == 403, path
        assert client.post(f"{here}/serviceaccounts/reader/token", json={"spec": {}}).status_code == 403
        assert client.delete(f"{here}/pods/cart-000").status_code == 403
        assert client.post(f"{here}/pods/cart-000/exec?command=env").status_code == 403
        assert (
            client.patch(
                f"{here}/pods/cart-000", json={}, headers={"Content-Type": "application/merge-patch+json"}
            ).status_code
            == 403
        )
