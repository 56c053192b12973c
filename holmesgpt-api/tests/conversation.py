"""One conversation of the SDK's loop over our gate, against an endpoint on loopback."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

from conftest import MODULES
from fakes import TLS
from stubs import Endpoint, listening

GATE, BRIDGE = MODULES.gate, MODULES.bridge
TOOLS = importlib.import_module("holmes.core.tools")
CALLING = importlib.import_module("holmes.core.tool_calling_llm")
SEARCH = "search"
Reply = Callable[..., Any]


class Probe(TOOLS.Tool):  # type: ignore[misc,name-defined]  # the SDK carries no types
    """A tool of the SDK itself: what it is given, it keeps; what `reply` gives or raises, it gives or raises."""

    reply: Any = None
    seen: Any = None

    def _invoke(self, params: dict[str, Any], context: Any) -> Any:
        del context
        self.seen.append(params)
        return self.reply(params)

    def get_parameterized_one_liner(self, params: dict[str, Any]) -> str:
        del params
        return str(self.name)


def result(data: Any = None, error: str | None = None, params: Any = None) -> Any:
    status = TOOLS.StructuredToolResultStatus.ERROR if error else TOOLS.StructuredToolResultStatus.SUCCESS
    return TOOLS.StructuredToolResult(status=status, data=data, error=error, params=params)


def probe(reply: Reply | None = None, **parameters: Any) -> Any:
    return Probe(
        name=SEARCH, description="d", parameters=parameters, reply=reply or (lambda _: result({"a": 1})), seen=[]
    )


def completion(content: str | None = None, *calls: tuple[str, str]) -> dict[str, Any]:
    made = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls, 1)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": content} | ({"tool_calls": made} if made else {})
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


class Conversation:
    """One call of the SDK's loop over our gate against a stub endpoint."""

    def __init__(self, *answers: Any, tool: Any = None, steps: int = 4, **model: Any) -> None:
        self.endpoint = Endpoint(*answers)
        self.tool = tool or probe()
        self.error: Exception | None = None
        self.text = ""
        toolset = TOOLS.Toolset(name="t", description="t", enabled=True, tools=[self.tool])
        toolset.status = TOOLS.ToolsetStatusEnum.ENABLED
        with listening(self.endpoint) as url:
            cancel = threading.Event()
            made = model_at(url, **model)
            self.gate = GATE.Gate(made, steps, time.monotonic() + 30, cancel)
            loop = MODULES.loop(MODULES.executor([toolset]), steps, self.gate, tool_results_dir=None)
            messages = [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": model.get("user", "USER")}]
            try:
                self.result = loop.call(messages, cancel_event=cancel)
                self.text = self.result.result
            except Exception as error:
                self.error = error
            made.client.close()

    @property
    def told(self) -> list[str]:
        return [m["content"] for m in self.endpoint.requests[-1]["messages"] if m["role"] == "tool"]


def model_at(url: str, **more: Any) -> Any:
    values: dict[str, Any] = {
        "name": "openai/some-model",
        "client": MODULES.endpoint.connect(url, "key-of-the-test", TLS, None),
        "key": "key-of-the-test",
        "timeout": 5.0,
        "max_retries": 0,
        "max_tokens": 512,
        "temperature": 0.0,
        "window": None,
        "observe": lambda *_: None,
        "scrubbed": lambda _: None,
    }
    return GATE.Model(**values | {k: v for k, v in more.items() if k in values or k == "wait"})
