"""What FastAPI alone does with the same models: `bare.py PORT ANSWER` gives every request the answer in the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from holmesgpt_api.api import incident
from holmesgpt_api.models import IncidentRequest, IncidentResponse


def create(content: dict[str, Any]) -> FastAPI:
    app = FastAPI()

    @app.post(incident.PATH, response_model_exclude_unset=True)
    async def analyze(body: IncidentRequest) -> IncidentResponse:
        return IncidentResponse.model_validate(content | {"incident_id": body.incident_id})

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


def main(port: int, answer: Path) -> None:
    """The server's settings are those of the service."""
    app = create(json.loads(answer.read_text(encoding="utf-8")))
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
