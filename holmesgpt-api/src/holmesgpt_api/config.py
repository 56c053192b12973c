"""Settings: command line > environment > YAML > default. All mistakes are found before any is reported."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from holmesgpt_api.checks import (
    BadValueError,
    Check,
    accounts,
    auth_mode,
    certificates,
    file,
    flag,
    integer,
    mapping,
    number,
    one_of,
    optional,
    text,
    texts,
    toolsets,
    url,
)

DEFAULT_FILE = "/etc/holmesgpt/config.yaml"
MAX_FILE_BYTES = 1 << 20
# Keys of December 2025 that mean nothing here, and those that changed their place.
IGNORED = {"service_name", "version", "context_api", "kubernetes", "metrics", "public_endpoints"}
IGNORED_NESTED = {"llm.gcp_project_id", "llm.gcp_region"}
ALIASES = {
    "api_host": "server.host",
    "api_port": "server.port",
    "log_level": "logging.level",
    "auth_enabled": "auth.mode",
}


class ConfigError(Exception):
    """Every mistake, a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Key:
    """One setting."""

    path: str
    check: Check
    default: Any
    env: tuple[str, ...] = ()


# In holmes mode; scripted, the catalog is built in unless one is named.
DATA_STORAGE = "http://datastorage:8080"
KEYS = (
    Key("mode", one_of("holmes", "scripted"), None),
    Key("server.host", text, "0.0.0.0"),  # noqa: S104 - a service in a pod listens on every address
    Key("server.port", integer(0, 65535), 8080),
    Key("environment", optional(text), None, ("ENVIRONMENT",)),
    Key("dev_mode", flag, False, ("DEV_MODE",)),
    Key("logging.level", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", ("LOG_LEVEL",)),
    Key("llm.provider", text, "openai", ("LLM_PROVIDER",)),
    Key("llm.model", optional(text), None, ("LLM_MODEL",)),
    Key("llm.endpoint", optional(url), None, ("LLM_ENDPOINT",)),
    Key("llm.secrets_file", optional(text), None),
    Key("llm.ca_file", optional(certificates), None),
    Key("llm.timeout_seconds", number(1, 600), 60.0, ("LLM_TIMEOUT_SECONDS",)),
    Key("llm.max_retries", integer(0, 5), 3, ("LLM_MAX_RETRIES",)),
    Key("llm.temperature", optional(number(0, 2)), 0.0),
    Key("llm.max_tokens_per_request", integer(256, 131072), 4096),
    Key("llm.max_steps", integer(2, 50), 20),
    Key("llm.context_window", optional(integer(1024, 10_000_000)), None),
    Key("data_storage.url", optional(url), None, ("DATA_STORAGE_URL", "DATASTORAGE_URL")),
    Key("data_storage.timeout_seconds", number(1, 60), 10.0, ("DATA_STORAGE_TIMEOUT",)),
    Key("data_storage.token_file", optional(file), None),
    Key("data_storage.ca_file", optional(certificates), None),
    Key("investigation.confidence_threshold", number(0.5, 0.95), 0.7),
    Key("limits.max_concurrent", integer(1, 64), 16),
    Key("limits.queue", integer(0, 1000), 64),
    Key("limits.queue_timeout_seconds", number(1, 60), 10.0),
    Key("limits.request_timeout_seconds", number(5, 900), 300.0),
    Key("limits.max_body_bytes", integer(64 << 10, 8 << 20), 1 << 20),
    Key("audit.buffer_events", integer(1, 1_000_000), 10_000),
    Key("audit.buffer_bytes", integer(1 << 10, 1 << 30), 32 << 20),
    Key("audit.batch_events", integer(1, 1000), 200),
    Key("audit.flush_interval_seconds", number(0.05, 60), 1.0),
    Key("toolsets", toolsets, {}),
    Key("mcp_servers", mapping, {}),
    Key("auth.mode", auth_mode, "none", ("AUTH_ENABLED",)),
    Key("auth.audiences", texts, ["holmesgpt-api"]),
    Key("auth.allowed", accounts, []),
    Key("hot_reload.enabled", flag, True, ("HOT_RELOAD_ENABLED",)),
    Key("shutdown.propagation_delay_seconds", number(0, 60), 3.0),
    Key("shutdown.drain_seconds", number(1, 300), 20.0),
    Key("shutdown.flush_seconds", number(0, 60), 5.0),
)
BY_PATH = {key.path: key for key in KEYS}
SECTIONS = {key.path.split(".")[0] for key in KEYS if "." in key.path}


def is_live(path: str) -> bool:
    """Whether a key is reloaded without a restart."""
    return path.startswith("llm.") or path in ("logging.level", "toolsets", "mcp_servers")


@dataclass(frozen=True)
class Settings:
    """The checked settings. `sources` says where each came from: default, file or env."""

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    api_key: str | None = field(default=None, repr=False)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    file: str | None = None
    api_server: str | None = None  # of the cluster that this runs in
    again: Callable[[], Settings] | None = field(default=None, repr=False, compare=False)  # reads everything anew

    def with_live(self, values: Mapping[str, Any], fresh: Settings) -> Settings:
        """Other values and the key that was read with them; all else stays."""
        return replace(self, values=values, api_key=fresh.api_key)

    @property
    def scripted(self) -> bool:
        return bool(self.values["mode"] == "scripted")

    def __getitem__(self, path: str) -> Any:
        return self.values[path]

    def seconds(self, path: str) -> float:
        return float(self.values[path])

    def count(self, path: str) -> int:
        return int(self.values[path])

    def word(self, path: str) -> str:
        return str(self.values[path])


def load(config_file: str | None, env: Mapping[str, str]) -> Settings:
    """Read and check everything; ConfigError lists every mistake with key, value, range and source."""
    mistakes: list[str] = []
    given: dict[str, tuple[Any, str, str]] = {}  # path -> value, source, where
    name = config_file or env.get("CONFIG_FILE")
    file = name or (DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None)
    ignored = _read_file(name, given, mistakes)
    _read_env(env, given, mistakes)
    values: dict[str, Any] = {}
    for key in KEYS:
        value, _, where = given.get(key.path, (key.default, "default", "default"))
        try:
            values[key.path] = value if value is None and key.path == "mode" else key.check(value)
        except BadValueError as error:
            mistakes.append(f"{key.path}: {error} (got {_shown(value)}, from {where})")
    sources = {key.path: given.get(key.path, (None, "default", ""))[1] for key in KEYS}
    notes = _settle_mode(values, sources, given, env, mistakes)
    api_key = _read_api_key(values.get("llm.secrets_file"), env, mistakes)
    if values.get("auth.mode") == "token_review" and _api_server(env) is None:
        mistakes.append("auth.mode: token_review needs a cluster (KUBERNETES_SERVICE_HOST is not set)")
    if mistakes:
        raise ConfigError(mistakes)
    again = functools.partial(load, config_file, dict(env))
    return Settings(values, sources, api_key, tuple(ignored), notes, file, _api_server(env), again)


def _api_server(env: Mapping[str, str]) -> str | None:
    host = env.get("KUBERNETES_SERVICE_HOST", "")
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}:{env.get('KUBERNETES_SERVICE_PORT') or 443}" if host else None


def _settle_mode(
    values: dict[str, Any],
    sources: dict[str, str],
    given: dict[str, tuple[Any, str, str]],
    env: Mapping[str, str],
    mistakes: list[str],
) -> tuple[str, ...]:
    """Holmes if a model is named; else scripted, but never by accident in a cluster. Returns what to warn of."""
    notes: tuple[str, ...] = ()
    mode = values.get("mode")
    if given.get("mode") is None:
        mode = "holmes" if given.get("llm.model") else "scripted"
        if mode == "scripted" and env.get("KUBERNETES_SERVICE_HOST"):
            mistakes.append("mode: in a cluster, set LLM_MODEL, or MOCK_LLM_MODE=true for the scripted mode")
        elif mode == "scripted":
            notes = ("no model is configured: answers are scripted; set LLM_MODEL for a real one",)
        values["mode"] = mode
    if mode == "holmes":
        for path, name in (("llm.model", "LLM_MODEL"), ("llm.endpoint", "LLM_ENDPOINT")):
            if path in values and values[path] is None:
                mistakes.append(f"{path}: is required in holmes mode (set {name} or the file's key)")
    if values.get("data_storage.url", "") is None:
        values["data_storage.url"] = DATA_STORAGE if mode == "holmes" else None
        sources["data_storage.url"] = "default" if mode == "holmes" else "off"
    return notes


def _shown(value: Any) -> str:
    """A refused value without what may be a secret in a URL: all before the last @, and the query."""
    before, at, rest = str(value).rpartition("@")
    scheme = re.match(r"\w+://", before)
    user = f"{scheme[0] if scheme else ''}***@" if at else ""
    return re.sub(r"\?.*", "?***", user + rest, flags=re.DOTALL)[:64]


def _read_file(name: str | None, given: dict[str, tuple[Any, str, str]], mistakes: list[str]) -> list[str]:
    path = Path(name or DEFAULT_FILE)
    if not name and not path.exists():
        return []
    try:
        with path.open("rb") as stream:
            # From a stream: an error then quotes no line of the file, where a secret may stand.
            content = yaml.safe_load(io.BytesIO(stream.read(MAX_FILE_BYTES)))
    except (OSError, yaml.YAMLError) as error:
        mistakes.append(f"config file {path}: {' '.join(str(error).split())[:300]}")
        return []
    if content is None:
        return []
    if not isinstance(content, dict):
        mistakes.append(f"config file {path}: must be a mapping")
        return []
    ignored: list[str] = []
    for name_in_file, value in _flatten(content):
        key = ALIASES.get(name_in_file, name_in_file)
        if name_in_file.split(".")[0] in IGNORED or name_in_file in IGNORED_NESTED:
            ignored.append(name_in_file)
        elif key not in BY_PATH:
            mistakes.append(f"{name_in_file}: is not a known key (from {path})")
        else:
            given[key] = (value, "file", str(path))
    return ignored


def _flatten(content: dict[Any, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in content.items():
        if str(key) in SECTIONS and isinstance(value, dict):
            flat += [(f"{key}.{inner}", item) for inner, item in value.items()]
        elif value is not None or str(key) not in SECTIONS:
            flat.append((str(key), value))
    return flat


def _read_env(env: Mapping[str, str], given: dict[str, tuple[Any, str, str]], mistakes: list[str]) -> None:
    for key in KEYS:
        found = {name: env[name] for name in key.env if env.get(name, "") != ""}
        if len(set(found.values())) > 1:
            mistakes.append(f"{key.path}: {' and '.join(found)} are both set and differ")
        for name, value in list(found.items())[:1]:
            given[key.path] = (value, "env", name)
    if scripted := env.get("MOCK_LLM_MODE", ""):
        try:
            given["mode"] = ("scripted" if flag(scripted) else "holmes", "env", "MOCK_LLM_MODE")
        except BadValueError as error:
            mistakes.append(f"mode: MOCK_LLM_MODE {error} (got {scripted[:64]})")


def _read_api_key(secrets_file: str | None, env: Mapping[str, str], mistakes: list[str]) -> str | None:
    """The file wins over the environment; the key itself is never part of a message."""
    if secrets_file is None:
        return env.get("LLM_API_KEY") or env.get("OPENAI_API_KEY") or None
    try:
        content = yaml.safe_load(Path(secrets_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mistakes.append(f"llm.secrets_file: cannot be read ({type(error).__name__}, {secrets_file})")
        return None
    key = content.get("api_key") if isinstance(content, dict) else None
    if not isinstance(key, str) or not key:
        mistakes.append(f"llm.secrets_file: has no api_key ({secrets_file})")
        return None
    return key
