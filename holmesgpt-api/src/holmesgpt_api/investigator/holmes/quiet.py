"""What the SDK and its libraries may say in our log: where, at which level, nothing of what."""

from __future__ import annotations

import logging
import re
from pathlib import PurePath

FOREIGN = re.compile(r"[/\\](holmes|litellm|openai|httpx|httpcore|opentelemetry|sentry_sdk)[/\\]")


class Quiet(logging.Filter):
    """The SDK logs user messages and tool arguments through the root logger; the place of a warning is enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not FOREIGN.search(record.pathname):
            return True
        if record.levelno < logging.WARNING:
            return False
        place = {"file": PurePath(record.pathname).name, "line": record.lineno}
        record.msg, record.args = "message of a library", None
        record.exc_info, record.exc_text, record.stack_info = None, None, None
        record.__dict__["fields"] = place
        return True


def silence() -> None:
    """Before the import: every handler of the root logger, so that no record of a library passes with its text."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(f, Quiet) for f in handler.filters):
            handler.addFilter(Quiet())
