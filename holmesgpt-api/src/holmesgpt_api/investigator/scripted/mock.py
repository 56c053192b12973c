"""The investigator that replaces the model: for each attempt the text that a model would give, from a scenario file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from holmesgpt_api import errors
from holmesgpt_api.config import Settings
from holmesgpt_api.investigator.protocol import Investigation, Task, Tool, ToolCall
from holmesgpt_api.investigator.scripted import load
from holmesgpt_api.investigator.scripted.catalog import workflow_id

SEARCH = "search_workflow_catalog"
MAX_COUNTERS = 10_000
Row = dict[str, Any]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Prompt:
    """The head of the user message, all that a row is chosen by."""

    remediation_id: str
    kind: str
    signal_type: str
    attempt: int
    resource: dict[str, str]
    previous: str

    @classmethod
    def read(cls, user: str) -> Prompt:
        head = dict(line.split(": ", 1) for line in user.split("\n\n", 1)[0].split("\n"))
        place = re.match(r"(.*?) ([^ /]*)/(.*)", head["Resource"])
        kind, namespace, name = place.groups() if place else ("", "", "")
        return cls(
            head["Remediation ID"],
            head["Analysis"],
            head["Signal Type"],
            int(head["Attempt"][0]),
            {"kind": kind, "name": name, "namespace": namespace},
            head.get("Previous Workflow", "none"),
        )


class ScriptedInvestigator:
    """No clock and no randomness in an answer; the only state is how often a fault row has struck a remediation."""

    name = "scripted"
    sdk_version = "none"

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        book = load("scenarios.yaml")
        self._default: Row = book["default"]
        self._rows: dict[str, Row] = {row["signal_type"]: row for row in book["rows"]}
        self._rows |= {row["signal_type"]: row | {"row": self._rows[row["like"]]} for row in book["specials"]}
        self._folded = {key.lower(): row for key, row in reversed(self._rows.items())}
        self._struck: OrderedDict[str, int] = OrderedDict()
        self._sleep = sleep

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """No thread is used, so none is waited for."""
        yield

    def renewed(self, settings: Settings) -> ScriptedInvestigator:
        """Its script is no setting, and its counters go on."""
        del settings
        return self

    async def start(self) -> None:
        return

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        return

    def status(self) -> dict[str, str]:
        return {"status": "up"}

    def toolsets(self) -> dict[str, str]:
        return {"workflow/catalog": "up"}

    async def investigate(self, task: Task, record: Investigation) -> None:
        prompt = Prompt.read(task.user)
        special = self._rows.get(prompt.signal_type) or self._folded.get(prompt.signal_type.lower(), self._default)
        row: Row = special.get("row", special)
        record.llm_calls += 1
        await self._strike(prompt, special.get("fault"))
        ids: dict[str, str] = {}
        for tool in task.tools:
            if tool.name == SEARCH:
                ids = await search(tool, prompt, row, record)
                record.llm_calls += 1
        record.text = answer(prompt, row, special, ids)

    async def _strike(self, prompt: Prompt, fault: dict[str, Any] | None) -> None:
        if fault is None:
            return
        count = self._struck.pop(prompt.remediation_id, 0)
        self._struck[prompt.remediation_id] = count + 1
        if len(self._struck) > MAX_COUNTERS:
            self._struck.popitem(last=False)
        if count >= fault.get("times", count + 1):
            return
        if "status" in fault:
            raise errors.from_llm_status(fault["status"], fault.get("retry_after"))
        await self._sleep(fault["delay_seconds"])


async def search(tool: Tool, prompt: Prompt, row: Row, record: Investigation) -> dict[str, str]:
    """One call of the catalog tool; the ids by name that it found."""
    resource = {"signal_type": row["signal_type"], **prompt.resource}
    arguments = {"query": f"{row['signal_type']} {row['severity']}", "rca_resource": resource, "top_k": 10}
    started = time.monotonic()
    result = await tool.run(arguments)
    record.tool_calls.append(ToolCall(tool.name, arguments, result, int((time.monotonic() - started) * 1000)))
    if not result.ok:
        return {}
    return {found["workflow_name"]: found["workflow_id"] for found in json.loads(result.text)["workflows"]}


def answer(prompt: Prompt, row: Row, special: Row, ids: dict[str, str]) -> str:
    """Prose and one fenced block, changed as the attempt's entry of the special row says."""
    said = row[prompt.kind]
    changes = special.get("attempts", [])[prompt.attempt - 1 : prompt.attempt]
    change: dict[str, Any] = changes[0] if changes else {}
    body: dict[str, Any] = {
        "root_cause_analysis": {
            "summary": row["summary"],
            "severity": row["severity"],
            "signal_type": row["signal_type"],
            "contributing_factors": row.get("contributing_factors", []),
            "affected_resource": special.get("affected", prompt.resource),
        },
        "selected_workflow": selected(prompt, said, change, ids),
        "alternative_workflows": [choice(other, None) for other in said.get("alternatives", [])],
        "confidence": said["confidence"],
    }
    if "outcome" in said:
        body["investigation_outcome"] = said["outcome"]
    if prompt.kind == "recovery":
        body |= recovery(row, said)
    block = json.dumps(body, indent=2)
    end = block[: len(block) // 2] if change.get("cut") else f"{block}\n```\n"
    return f"{row['summary']}. The evidence points at {row['signal_type']}.\n\n```json\n{end}"


def selected(prompt: Prompt, said: Row, change: dict[str, Any], ids: dict[str, str]) -> dict[str, Any] | None:
    """None when the row names no workflow, or the search did not find the one it names."""
    identity = ids.get(said.get("workflow", ""))
    if identity is None:
        return None
    places = {"<ns>": prompt.resource["namespace"], "<name>": prompt.resource["name"], "<previous>": prompt.previous}
    parameters = {
        name: places.get(value, value)
        for name, value in said.get("parameters", {}).items()
        if name != change.get("without")
    }
    image = {"container_image": change["container_image"]} if "container_image" in change else {}
    return {**choice(said, change.get("workflow_id", identity)), **image, "parameters": parameters}


def choice(said: Row, identity: str | None) -> dict[str, Any]:
    return {
        "workflow_id": identity or workflow_id(said["workflow"], said["version"]),
        "version": said["version"],
        "confidence": said["confidence"],
        "rationale": said["rationale"],
    }


def recovery(row: Row, said: Row) -> dict[str, Any]:
    more: dict[str, Any] = {"can_recover": said["can_recover"]} if "can_recover" in said else {}
    confidence = {"confidence": said["confidence"], "prerequisites": []}
    more["strategies"] = [strategy | confidence for strategy in said.get("strategies", [])]
    if assessed := said.get("assessment"):
        assessment = {
            "failure_understood": assessed["failure_understood"],
            "failure_reason_analysis": assessed["failure_reason"],
            "state_changed": assessed["state_changed"],
            "current_signal_type": row["signal_type"],
        }
        more["recovery_analysis"] = {
            "previous_attempt_assessment": assessment,
            "root_cause_refinement": row["summary"],
        }
    return more
