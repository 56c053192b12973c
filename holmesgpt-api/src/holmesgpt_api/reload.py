"""Live settings: the files are looked at again and again, and what is wrong in them changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holmesgpt_api import logs
from holmesgpt_api.config import ConfigError, Settings, is_live
from holmesgpt_api.metrics import Metrics

logger = logging.getLogger(__name__)
PERIOD_SECONDS = 5.0


class Watcher:
    """Follows a ConfigMap's links: what counts is the content behind them."""

    def __init__(self, settings: Settings, metrics: Metrics, apply: Callable[[Settings], None]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._apply = apply
        self._seen = self._digest()
        self._loaded_at = logs.now_ms()
        self._reloads = 0
        self._last_error: str | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "path": self._settings.file,
            "sha256": _sha256(self._settings.file),
            "loaded_at": self._loaded_at,
            "reloads": self._reloads,
            "last_error": self._last_error,
        }

    async def run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            await asyncio.to_thread(self._digest)  # the first touch of a slow volume off the loop
            self.look()

    def look(self) -> None:
        """Take the new content as a whole, or keep the old and say why, once for each content."""
        digest = self._digest()
        if digest == self._seen or self._settings.again is None:
            return
        self._seen = digest
        try:
            fresh = self._settings.again()
        except ConfigError as error:
            self._last_error = str(error)[:2000]
            self._metrics.config_errors.inc()
            logs.event(logger, logging.ERROR, "settings not taken", mistakes=error.mistakes)
            return
        self._take(fresh)

    def _take(self, fresh: Settings) -> None:
        old = self._settings.values
        fixed = sorted(path for path, value in fresh.values.items() if value != old[path] and not is_live(path))
        if fixed:
            logs.event(logger, logging.WARNING, "keys need a restart", keys=fixed)
        values = {path: fresh.values[path] if is_live(path) else old[path] for path in old}
        self._settings = self._settings.with_live(values, fresh)
        self._apply(self._settings)
        self._reloads += 1
        self._last_error = None
        self._loaded_at = logs.now_ms()
        self._metrics.config_reloads.inc()
        self._metrics.config_reloaded_at.set(time.time())
        logs.event(logger, logging.INFO, "settings reloaded")

    def _digest(self) -> tuple[str | None, str | None]:
        return _sha256(self._settings.file), _sha256(self._settings.values["llm.secrets_file"])


def _sha256(name: str | None) -> str | None:
    """None: there is no such file now."""
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest() if name else None
    except OSError:
        return None
