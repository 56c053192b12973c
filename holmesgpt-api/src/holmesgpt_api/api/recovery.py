"""POST /api/v1/recovery/analyze."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from holmesgpt_api.api import analyze
from holmesgpt_api.investigation.subject import from_recovery
from holmesgpt_api.models import RecoveryRequest

router = APIRouter()
PATH = "/api/v1/recovery/analyze"


@router.post(PATH)
async def recovery_analyze(request: Request) -> JSONResponse:
    body = await analyze.read(request, RecoveryRequest)
    analysis = analyze.state_of(request).analysis
    work = analysis.recovery(
        from_recovery(body), request.state.request_id, body.is_recovery_attempt, body.recovery_attempt_number
    )
    return analyze.answer(request, await analyze.while_there(request, work))
