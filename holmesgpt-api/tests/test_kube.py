"""`kubernetes/read` against an API server on loopback: each tool, each refusal; what is refused asks nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fakes import TLS
from holmesgpt_api import kube, kubekinds
from holmesgpt_api.investigator.protocol import ToolResult
from holmesgpt_api.kube import Cluster
from holmesgpt_api.kubeaccess import Access, NoAccessError, find
from stubs import APIServer, listening

LIMIT = 50_000


Call = tuple[str, dict[str, Any]]


def results(server: APIServer, calls: Iterable[Call], limit: int = LIMIT) -> list[tuple[ToolResult, list[str]]]:
    """Each call's result and the paths that were asked for it."""

    async def run(url: str) -> list[tuple[ToolResult, list[str]]]:
        cluster = Cluster(Access(url, TLS, token="t0ken"), "", limit)
        watch = asyncio.create_task(cluster.watch())
        await cluster.probed.wait()
        tools = {tool.name: tool for tool in cluster.tools()}
        found = []
        for name, arguments in calls:
            before = len(server.paths())
            result = await tools[name].run(arguments)
            found.append((result, server.paths()[before:]))
        watch.cancel()
        await cluster.aclose()
        return found

    with listening(server) as url:
        return asyncio.run(run(url))


def call(server: APIServer, tool: str, arguments: dict[str, Any], limit: int = LIMIT) -> ToolResult:
    return results(server, [(tool, arguments)], limit)[0][0]


def good(server: APIServer, tool: str, limit: int = LIMIT, **arguments: Any) -> Any:
    result = call(server, tool, arguments, limit)
    assert result.ok, result.text
    assert len(result.text.encode()) <= limit
    return json.loads(result.text) if tool != "kubernetes_logs" else result.text


def test_an_object_without_what_it_must_not_show() -> None:
    server = APIServer()
    found = good(server, "kubernetes_get", kind="Pod", namespace="shop", name="cart")
    assert "planted-value" not in json.dumps(found) and "managedFields" not in json.dumps(found)
    environment = found["object"]["spec"]["containers"][0]["env"]
    assert environment[0] == {"name": "DB_HOST", "value": kubekinds.WITHHELD}
    assert environment[1]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k"}
    assert [event["message"] for event in found["events"]] == [f"message {n}" for n in range(59, 39, -1)]
    assert server.tokens == {"Bearer t0ken"}
    assert server.asked[-1][1]["fieldSelector"] == ["involvedObject.kind=Pod,involvedObject.name=cart"]


def test_a_list_of_ten_thousand_in_pages() -> None:
    server = APIServer(pods=10_000)
    first = good(server, "kubernetes_list", kind="pods", namespace="shop", label_selector="app=cart")
    assert first["columns"] == ["Namespace", "Name", "Ready", "Status", "Restarts", "Age"]
    assert first["rows"][0] == ["shop", "cart-0", "0/1", "CrashLoopBackOff", 4, "5m"]
    assert (len(first["rows"]), first["more"], first["continue_token"]) == (100, "9900 more", "100")
    assert server.asked[-1][1] == {"limit": ["100"], "labelSelector": ["app=cart"]}
    last = good(server, "kubernetes_list", kind="po", continue_token="9950")
    assert (len(last["rows"]), "more" in last) == (50, False)
    assert server.paths()[-1] == "/api/v1/pods"


def test_results_are_cut_at_an_entry_and_it_is_said() -> None:
    small = good(APIServer(pods=10_000), "kubernetes_list", limit=3000, kind="Pod")
    assert 0 < len(small["rows"]) < 100 and "narrow the request" in small["cut"]
    part = good(APIServer(), "kubernetes_get", limit=700, kind="Pod", namespace="shop", name="cart")
    assert "cut" in part and part["object"]["kind"] == "Pod"


def test_events_of_a_namespace_and_of_an_object() -> None:
    server = APIServer()
    found = good(server, "kubernetes_events", namespace="shop")["events"]
    assert (len(found), found[0]["message"], found[0]["object"]) == (50, "message 59", "Pod/cart")
    good(server, "kubernetes_events", namespace="shop", kind="deploy", name="cart")
    assert server.asked[-1][1]["fieldSelector"] == ["involvedObject.kind=Deployment,involvedObject.name=cart"]


def test_logs_end_with_their_last_line() -> None:
    server = APIServer()
    assert good(server, "kubernetes_logs", namespace="shop", pod="cart") == "one\ntwo\n"
    assert server.asked[-1][1] == {"tailLines": ["100"]}
    server.log = b"".join(b"line %d of the log\n" % n for n in range(100_000))
    text = good(
        server, "kubernetes_logs", namespace="shop", pod="cart", container="app", previous=True, tail_lines=9999
    )
    assert text.startswith("[earlier lines are left out]\nline ") and text.endswith("line 99999 of the log\n")
    assert server.asked[-1][1] == {"tailLines": ["500"], "container": ["app"], "previous": ["true"]}
    server.log = b""
    assert good(server, "kubernetes_logs", namespace="shop", pod="cart") == "the log is empty"
    server.log = b"x" * (9 << 20)
    assert "too large" in call(server, "kubernetes_logs", {"namespace": "shop", "pod": "cart"}).text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "selectors"),
        (401, "account"),
        (403, "not allowed"),
        (404, "kubernetes_list"),
        (410, "continue_token"),
        (503, "later"),
        (302, "later"),
    ],
)
def test_what_the_api_server_refuses(status: int, text: str) -> None:
    server = APIServer()
    server.broken = status
    result = call(server, "kubernetes_list", {"kind": "Pod"})
    assert not result.ok and text in result.text and "own words" not in result.text


def test_a_call_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "CALL_SECONDS", 0.3)
    server = APIServer()
    server.hang = True
    result = call(server, "kubernetes_list", {"kind": "Pod"})
    server.wait.set()
    assert not result.ok and "within 0.3 s" in result.text


KINDS = ["Secret", "secrets", "ConfigMap", "configmaps", "cm", "serviceaccounts/token", "TokenReview", "tokenrequests"]
NAMES = [
    "--server=x",
    "../",
    "..%2f..",
    "a/b",
    "cart?x=1",
    "a..b",
    "x" * 300,
    "x" * 10_000,
    "Cart",
    "cart\n",
    "-",
    "\u0000",
    "*",
    "$(id)",
]
TYPES: list[Any] = [7, 7.5, True, None, [], ["cart"], {}, {"a": 1}, [None]]


HOSTILE: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("kubernetes_get", {"kind": "Pod", "namespace": "shop", "name": "cart"}, ("namespace", "name")),
    ("kubernetes_list", {"kind": "Pod"}, ("namespace",)),
    ("kubernetes_events", {"namespace": "shop"}, ("namespace", "name")),
    ("kubernetes_logs", {"namespace": "shop", "pod": "cart"}, ("namespace", "pod", "container")),
]


@pytest.mark.parametrize("tool", ["kubernetes_get", "kubernetes_list", "kubernetes_events"])
def test_kinds_that_are_refused_without_a_request(tool: str) -> None:
    kinds = [*KINDS, "pods/exec", "pods/log", "pods/../secrets", *NAMES]
    calls = [(tool, {"kind": kind, "namespace": "shop", "name": "cart"}) for kind in kinds]
    for (result, asked), kind in zip(results(APIServer(), calls), kinds, strict=True):
        assert not result.ok and asked == [] and len(result.text) < 700, kind


def test_names_that_are_refused_without_a_request() -> None:
    calls = [(t, given | {key: value}) for t, given, keys in HOSTILE for key in keys for value in NAMES]
    for (result, asked), tried in zip(results(APIServer(), calls), calls, strict=True):
        assert not result.ok and asked == [] and len(result.text) < 700, tried


def test_arguments_of_every_wrong_type() -> None:
    more = ("label_selector", "field_selector", "continue_token", "container", "previous", "tail_lines", "other")
    calls = [(t, given | {key: value}) for t, given, _ in HOSTILE for key in (*given, *more) for value in TYPES]
    for (result, asked), tried in zip(results(APIServer(), calls), calls, strict=True):
        assert all(path.startswith("/api/v1/") for path in asked), tried
        assert result.ok or asked == [], tried


def test_selectors_stay_in_the_query() -> None:
    server = APIServer()
    values = ("a=b&watch=true", "x" * 5000, "../../secrets", "a#b", "a=b\n")
    keys = ("label_selector", "field_selector", "continue_token")
    results(server, [("kubernetes_list", {"kind": "Pod", key: value}) for key in keys for value in values])
    assert set(server.paths()) <= {"/api/v1/pods"}
    assert not [query for _, query in server.asked if "watch" in query]


def test_no_environment_value_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND", "secrets")
    monkeypatch.setenv("PLANTED", "planted-in-the-environment")
    values = ("$PLANTED", "${PLANTED}", "env.PLANTED", "$(printenv)", "`env`", "$ENV", "file:///proc/self/environ")
    calls = [(t, given | {key: v}) for t, given, keys in HOSTILE for key in (*keys, "kind") for v in values]
    server = APIServer()
    told = " ".join(result.text for result, _ in results(server, calls))
    assert "planted-in" not in told + json.dumps(server.asked)
    assert "/secrets" not in " ".join(server.paths())


def test_no_api_server_is_no_tool() -> None:
    async def run() -> tuple[str, int]:
        cluster = Cluster(Access("http://127.0.0.1:9", TLS), "", LIMIT)
        watch = asyncio.create_task(cluster.watch())
        await cluster.probed.wait()
        watch.cancel()
        await cluster.aclose()
        return cluster.status, len(cluster.tools())

    status, count = asyncio.run(run())
    assert status.startswith("unavailable: the API server could not be reached") and count == 0
    nowhere = Cluster.of_environment({}, LIMIT)
    assert nowhere.status == "unavailable: not in a cluster and KUBECONFIG is not set"


def test_access_of_a_pod_is_read_again_for_each_request(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(NoAccessError, match="token is mounted"):
        find(environment, tmp_path)
    (tmp_path / "token").write_text("first\n")
    authority = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
    (tmp_path / "ca.crt").write_bytes(Path(authority).read_bytes())
    access = find(environment, tmp_path)
    assert access.server == "https://10.0.0.1:443" and access.headers() == {"Authorization": "Bearer first"}
    (tmp_path / "token").write_text("second\n")
    assert access.headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize("content", ["", "[]", "{", "contexts: []\ncurrent-context: x\n"])
def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(NoAccessError, match="cannot be read"):
        find({"KUBECONFIG": str(tmp_path / "config")})


def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: abc}}]\n"
    )
    access = find({"KUBECONFIG": str(file)})
    assert (access.server, access.headers()) == ("https://127.0.0.1:1", {"Authorization": "Bearer abc"})
    file.write_text(file.read_text().replace("token: abc", "exec: {command: aws}"))
    with pytest.raises(NoAccessError, match="neither a token"):
        find({"KUBECONFIG": str(file)})
