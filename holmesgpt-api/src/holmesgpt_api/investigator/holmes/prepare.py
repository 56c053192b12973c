"""The environment that the SDK finds at its import: each name changes what it does, or lets it use the network."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

FOREIGN = re.compile(
    r"(ROBUSTA|STORE|SENTRY|OPENAI|AZURE|AWS|ANTHROPIC|LITELLM|LLM|HOLMES|TOOL|OVERRIDE_MAX)_.*"
    r"|EXTRA_HEADERS|TEMPERATURE|THINKING|REASONING_EFFORT|MODEL|MODEL_LIST_FILE_LOCATION"
)
FIXED = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else the price list is looked up
    "LITELLM_LOG": "ERROR",
    "ENABLE_TELEMETRY": "false",
    "DISABLE_PROMETHEUS_TOOLSET": "true",  # its package is switched off in the lock
    "HOLMES_DISABLE_STRICT_TOOL_CALLS": "true",
    "ENABLE_CONVERSATION_HISTORY_COMPACTION": "false",
}


def prepare(environment: MutableMapping[str, str], home: str) -> None:
    """Settings were read before: keys live in memory from here on, nothing of them in the environment."""
    for name in [name for name in environment if FOREIGN.fullmatch(name)]:
        del environment[name]
    environment.update(FIXED, HOME=home, HOLMES_CONFIGPATH_DIR=home)
