"""The catalog of a service without Data Storage: the workflows of the test cluster's seed."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from holmesgpt_api.catalog import Workflow, read_workflow
from holmesgpt_api.investigator.scripted import load

NAMESPACE = UUID("f965e0b5-18cb-5d87-82ee-c4d9f1c09119")


def workflow_id(name: str, version: str) -> str:
    """The rule by which Data Storage derives the ids of its catalog."""
    return str(uuid5(NAMESPACE, f"{name}@{version}"))


class BuiltInCatalog:
    """Finds by signal type and severity, as Data Storage does for workflows labelled with wildcards otherwise."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Workflow, str]] = {}
        for entry in load("workflows.yaml"):
            identity = workflow_id(entry["workflow_name"], entry["version"])
            row = read_workflow({**entry, "version": str(entry["version"]), "workflow_id": identity})
            self._rows[identity] = row, entry["labels"]["severity"]

    async def search(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = (body["filters"]["signal_type"], body["filters"]["severity"])
        found = [row for row, severity in self._rows.values() if (row.signal_type, severity) == wanted]
        hits = [{"workflow_id": row.workflow_id, "final_score": 0.0} for row in found[: body["top_k"]]]
        return {"workflows": hits, "total_results": len(found)}

    async def get(self, workflow_id: str, fresh: bool = False) -> Workflow | None:
        found = self._rows.get(workflow_id.lower())
        return found[0] if found else None
