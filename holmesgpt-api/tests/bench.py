"""The investigator over an endpoint on loopback, without the rest of the service."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fakes import NO_CLUSTER, TLS, call_tool, settings
from holmesgpt_api.investigator.holmes.adapter import HolmesInvestigator, Network
from holmesgpt_api.investigator.protocol import Investigation, Task, Tool, ToolResult
from holmesgpt_api.kube import Cluster
from holmesgpt_api.metrics import Metrics
from stubs import Endpoint, listening


class Bench:
    """The investigator over a loopback endpoint, without the rest of the service."""

    def __init__(self, *answers: Any, **env: str) -> None:
        self.endpoint = Endpoint(*answers)
        self.env = env
        self.record = Investigation()
        self.metrics = Metrics()

    def run(self, *tools: Tool, steps: int = 4, seconds: float = 20, cluster: Cluster | None = None) -> Investigation:
        async def investigate() -> None:
            made = settings(**({"LLM_ENDPOINT": url} | self.env))
            investigator = HolmesInvestigator(made, self.metrics, cluster or NO_CLUSTER, Network(lambda: TLS))
            await investigator.start()
            assert investigator.sdk.status == "up", investigator.sdk.cause
            try:
                async with asyncio.timeout(seconds + 5), investigator.slot():
                    deadline = asyncio.get_running_loop().time() + seconds
                    await investigator.investigate(Task("SYSTEM", "USER", tools, steps, deadline), self.record)
            finally:
                await investigator.aclose()

        with listening(self.endpoint) as url:
            asyncio.run(investigate())
        return self.record


def tool(run: Any = None, name: str = "search_workflow_catalog") -> Tool:
    async def answer(arguments: dict[str, Any]) -> ToolResult:
        return await run(arguments) if run else ToolResult(f'{{"workflows":[],"given":{json.dumps(arguments)}}}')

    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return Tool(name, "Search.", schema, answer)


def calls(*arguments: Any, name: Any = "search_workflow_catalog") -> dict[str, Any]:
    answer = call_tool(name, "{}")
    function = {"name": name}
    answer["choices"][0]["message"]["tool_calls"] = [
        {"id": f"c{i}", "type": "function", "function": function | {"arguments": given}}
        for i, given in enumerate(arguments)
    ]
    return answer
