"""Settings: every mistake at once, the files of December 2025, and reload without a restart."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes import INCIDENT, TLS, DataStorage, Model, say, verdict
from holmesgpt_api import config, main
from holmesgpt_api.state import State, Transports

ROOT = Path(__file__).parents[1]
Capture = pytest.CaptureFixture[str]
HOLMES = {"LLM_MODEL": "m", "LLM_ENDPOINT": "http://model.test"}
DECEMBER = """
service_name: holmesgpt-api
version: "1.0.0"
environment: production
dev_mode: false
auth_enabled: false
api_host: 127.0.0.1
api_port: 8080
log_level: DEBUG
llm: {provider: openai, model: gpt-4, endpoint: "http://model.test", max_retries: 3, timeout_seconds: 60,
      max_tokens_per_request: 4096, temperature: 0.7, gcp_project_id: p, gcp_region: r}
context_api: {url: "http://context-api:8080"}
kubernetes: {service_host: kubernetes.default.svc}
public_endpoints: [/health]
metrics: {enabled: true}
toolsets: {kubernetes/core: {enabled: true}}
mcp_servers: {}
"""


@pytest.mark.parametrize(
    ("text", "env", "mistakes"),
    [
        ("odd: 1\nllm: {modle: x}", HOLMES, ["odd: is not a known key", "llm.modle: is not a known key"]),
        ("llm: {temperature: 3}", HOLMES, ["llm.temperature: must be between 0 and 2 (got 3, from {file})"]),
        ("limits: {max_body_bytes: 1}", HOLMES, ["limits.max_body_bytes: must be a whole number between"]),
        ("auth: {mode: maybe}", HOLMES, ["auth.mode: must be one of: none, token_review"]),
        ("auth: {mode: token_review}", HOLMES, ["auth.mode: token_review needs a cluster"]),
        ("auth: {allowed: [x]}", HOLMES, ["auth.allowed: must be a list of namespace/serviceaccount"]),
        ("toolsets: {workflow/catalog: {enabled: false}}", HOLMES, ["toolsets: must not name workflow/catalog"]),
        (
            "",
            HOLMES | {"DATA_STORAGE_URL": "http://a", "DATASTORAGE_URL": "http://b"},
            ["are both set and differ"],
        ),
        ("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ["mode: in a cluster, set LLM_MODEL, or MOCK_LLM_MODE=true"]),
        ("mode: holmes", {}, ["llm.model: is required in holmes mode", "llm.endpoint: is required"]),
        ("[1]", HOLMES, ["config file {file}: must be a mapping"]),
        ("llm: {secrets_file: /absent}", HOLMES, ["llm.secrets_file: cannot be read"]),
        (
            "data_storage: {token_file: /absent, ca_file: /dev/null}\nllm: {ca_file: /absent}",
            HOLMES,
            [
                "data_storage.token_file: must be a file that can be read: No such file or directory (got /absent,",
                "data_storage.ca_file: must be a file of PEM certificates (got /dev/null,",
                "llm.ca_file: must be a file that can be read",
            ],
        ),
    ],
)
def test_mistakes(
    text: str, env: dict[str, str], mistakes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told by the program itself, which then ends with 2; and all of them at once."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert main.main(["-config", str(file)], env | {"HOT_RELOAD_ENABLED": "perhaps"}) == 2
    told = capsys.readouterr().err
    for mistake in [*mistakes, "hot_reload.enabled: must be true or false"]:
        assert mistake.format(file=file) in told


def test_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--config", "/absent.yaml"], HOLMES) == 2
    assert main.main([], HOLMES | {"CONFIG_FILE": "/absent.yaml"}) == 2
    assert capsys.readouterr().err.count("config file /absent.yaml: ") == 2


def test_files_of_december(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(DECEMBER)
    loaded = config.load(str(file), {"DATA_STORAGE_URL": "http://storage.test"})
    assert (loaded["mode"], loaded["llm.temperature"], loaded["logging.level"]) == ("holmes", 0.7, "DEBUG")
    assert (loaded["server.host"], loaded["auth.mode"]) == ("127.0.0.1", "none")
    assert {"service_name", "context_api", "llm.gcp_region"} <= set(loaded.ignored)
    file.write_text(DECEMBER + "data_storage: {url: 'http://file.test'}\n")
    assert config.load(str(file), {})["data_storage.url"] == "http://file.test"
    service = Running(file, {"DATASTORAGE_URL": "http://user:canary@env.test"})
    body = asyncio.run(service.get("/config"))
    assert body["data_storage"] == {"url": "http://***@env.test", "source": "env"}
    assert "canary" not in json.dumps(body)


class Running:
    """The application over a settings file."""

    def __init__(self, file: Path, env: dict[str, str], model: Model | None = None) -> None:
        self.model = model or Model(say(verdict()))
        transports = Transports(httpx.MockTransport(self.model), httpx.MockTransport(DataStorage()))
        self.app = main.create_app(config.load(str(file), env), transports)
        self.state: State = self.app.state.holmes
        transport = httpx.ASGITransport(app=self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://h.test", verify=TLS)

    async def get(self, path: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.client.get(path)).json()
        return body

    async def asked_for(self) -> Any:
        """The model that a new request is answered by."""
        assert (await self.client.post("/api/v1/incident/analyze", json=INCIDENT)).status_code == 200
        return self.model.requests[-1]["model"]


class ConfigMap:
    """A mounted ConfigMap: the file is a link into `..data`, itself a link that is swapped at once."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.count = folder, 0
        self.write(text)
        self.file = folder / "config.yaml"
        self.file.symlink_to("..data/config.yaml")

    def write(self, text: str) -> None:
        self.count += 1
        made = self.folder / f"..v{self.count}"
        made.mkdir()
        (made / "config.yaml").write_text(text)
        link = self.folder / "..next"
        link.symlink_to(made.name)
        link.rename(self.folder / "..data")


GOOD = "llm: {{model: {0}, endpoint: 'http://model.test'}}\nlogging: {{level: {1}}}\nserver: {{port: {2}}}\n"


async def keeps_the_old(service: Running, mounted: ConfigMap) -> None:
    """Broken, out of range, removed: the settings stay, and what is wrong is counted and shown."""
    watcher = service.state.watcher
    for broken in ("llm: [", "llm: {model: x, endpoint: 'http://m', temperature: 9}\n"):
        mounted.write(broken)
        for _ in range(2):
            watcher.look()
    (mounted.folder / "..data").unlink()
    watcher.look()
    told = await service.get("/config")
    assert told["llm"]["model"] == "two" and str(mounted.file) in told["config"]["last_error"]
    metrics = (await service.client.get("/metrics")).text
    assert "holmesgpt_api_config_reload_errors_total 3.0" in metrics
    assert "holmesgpt_api_config_reload_total 1.0" in metrics


def test_reload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mounted = ConfigMap(tmp_path, GOOD.format("one", "INFO", 8080))
    level = logging.getLogger().level

    async def run() -> None:
        service = Running(mounted.file, {})
        await service.state.investigator.start()
        watcher = service.state.watcher
        before = service.state.analysis  # what a request that runs holds
        watcher.look()
        assert (await service.get("/config"))["config"]["reloads"] == 0
        mounted.write(GOOD.format("two", "WARNING", 9090))
        watcher.look()
        assert await service.asked_for() == "two"
        assert logging.getLogger().level == logging.WARNING
        told = await service.get("/config")
        assert (told["llm"]["model"], told["config"]["reloads"], told["config"]["last_error"]) == ("two", 1, None)
        assert len(told["config"]["sha256"]) == 64
        assert service.state.settings["server.port"] == 8080
        assert [r.__dict__["fields"]["keys"] for r in caplog.records if r.message == "keys need a restart"] == [
            ["server.port"]
        ]
        service.state.analysis = before
        assert await service.asked_for() == "one"
        await keeps_the_old(service, mounted)
        assert len([r for r in caplog.records if r.message == "settings not taken"]) == 3
        mounted.write(GOOD.format("three", "INFO", 8080))
        watcher.look()
        assert await service.asked_for() == "three"
        assert (await service.get("/config"))["config"]["last_error"] is None
        await service.state.investigator.aclose()

    try:
        asyncio.run(run())
    finally:
        logging.getLogger().setLevel(level)


def test_a_key_that_changes_in_its_file(tmp_path: Path) -> None:
    secret, file = tmp_path / "key.yaml", tmp_path / "config.yaml"
    secret.write_text("api_key: first\n")
    file.write_text(
        GOOD.format("m", "INFO", 1) + f"data_storage: {{url: 'http://s.test'}}\nllm.secrets_file: {secret}\n"
    )
    service = Running(file, {})
    assert service.state.settings.api_key == "first"
    secret.write_text("api_key: canary-two\n")
    service.state.watcher.look()
    assert service.state.settings.api_key == "canary-two"
    assert "canary-two" not in repr(service.state.settings)


def test_the_running_program_reloads(tmp_path: Path) -> None:
    """The watching task itself, in the real program, within ten seconds."""
    mounted = ConfigMap(tmp_path, "server: {host: 127.0.0.1, port: 0}\nlogging: {level: INFO}\n")
    env = {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "MOCK_LLM_MODE": "true"}
    command = [sys.executable, "-m", "holmesgpt_api", "-config", str(mounted.file)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        events = (json.loads(line) for line in child.stdout)
        assert next(e for e in events if e["event"] == "starting")
        mounted.write("server: {host: 127.0.0.1, port: 0}\nlogging: {level: DEBUG}\n")
        try:
            assert next(e for e in events if e["event"] == "settings reloaded")
        finally:
            child.terminate()
            assert list(events)[-1]["event"] == "stopped"
    assert child.returncode == 0
