"""One JSON line per event on standard output, with the request's ids where known."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from holmesgpt_api.scrub import scrub

# Set per request by the middleware and the pipeline; read by every log line of that request.
request_context: ContextVar[dict[str, Any] | None] = ContextVar("request_context", default=None)


def now_ms() -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JSONFormatter(logging.Formatter):
    """Every line passes the scrubber: a text of a library or a caller's id may hold a credential."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": now_ms(), "level": record.levelname, "event": record.getMessage()}
        line.update(request_context.get() or {})
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            # Class and place only: the text of an exception may hold what a log must not.
            line["error_class"] = record.exc_info[0].__name__
            line["error_at"] = _where(record.exc_info[2])
        return json.dumps(scrub(line), default=str)


def _where(trace: Any) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"


def setup(level: str, stream: TextIO | None = None) -> None:
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JSONFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their INFO lines carry URLs; the access log is ours.
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


def event(logger: logging.Logger, level: int, name: str, **fields: Any) -> None:
    logger.log(level, name, extra={"fields": fields})
