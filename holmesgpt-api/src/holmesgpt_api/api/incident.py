"""POST /api/v1/incident/analyze."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from holmesgpt_api.api import analyze
from holmesgpt_api.investigation.subject import from_incident
from holmesgpt_api.models import IncidentRequest

router = APIRouter()
PATH = "/api/v1/incident/analyze"


@router.post(PATH)
async def incident_analyze(request: Request) -> JSONResponse:
    body = await analyze.read(request, IncidentRequest)
    analysis = analyze.state_of(request).analysis
    work = analysis.incident(from_incident(body), request.state.request_id)
    return analyze.answer(request, await analyze.while_there(request, work))
