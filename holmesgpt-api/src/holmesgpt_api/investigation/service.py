"""One request from the subject to the answer, inside its deadline."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from holmesgpt_api import errors, logs
from holmesgpt_api.audit import Buffer
from holmesgpt_api.catalog import Catalog
from holmesgpt_api.config import Settings
from holmesgpt_api.investigation import answer
from holmesgpt_api.investigation.correct import AttemptLoop, Findings
from holmesgpt_api.investigation.outcome import Outcome, decide
from holmesgpt_api.investigation.subject import Subject
from holmesgpt_api.investigator.protocol import Investigator
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.models import AlternativeWorkflow
from holmesgpt_api.trail import Trail

logger = logging.getLogger(__name__)
MAX_ALTERNATIVES = 5
Render = Callable[[Findings, Outcome, list[AlternativeWorkflow], int], dict[str, Any]]


class Analysis:
    """Holds what outlives a request; keeps nothing of one."""

    def __init__(
        self, settings: Settings, investigator: Investigator, catalog: Catalog, buffer: Buffer, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._buffer = buffer
        self._slot = investigator.slot
        self._sdk_version = investigator.sdk_version
        self._metrics = metrics
        self._loop = AttemptLoop(settings, investigator, catalog, metrics)

    async def incident(self, subject: Subject, request_id: str) -> dict[str, Any]:
        def render(findings: Findings, outcome: Outcome, others: list[AlternativeWorkflow], _: int) -> dict[str, Any]:
            return answer.incident(subject, findings, outcome, others)

        return await self._run(subject, request_id, render)

    async def recovery(
        self, subject: Subject, request_id: str, is_recovery: bool, number: int | None
    ) -> dict[str, Any]:
        def render(
            findings: Findings, outcome: Outcome, others: list[AlternativeWorkflow], elapsed_ms: int
        ) -> dict[str, Any]:
            metadata = {
                "analysis_time_ms": elapsed_ms,
                "mock_mode": self._settings.scripted,
                "sdk_version": self._sdk_version,
                "is_recovery_attempt": is_recovery,
                "recovery_attempt_number": number,
            }
            return answer.recovery(subject, findings, outcome, others, metadata)

        return await self._run(subject, request_id, render)

    async def _run(self, subject: Subject, request_id: str, render: Render) -> dict[str, Any]:
        started = time.monotonic()
        deadline = asyncio.get_running_loop().time() + self._settings.seconds("limits.request_timeout_seconds")
        trail = Trail(self._buffer, self._settings, subject, request_id)
        try:
            async with asyncio.timeout_at(deadline), self._slot():
                findings = await self._loop.run(subject, trail, deadline)
                threshold = self._settings.seconds("investigation.confidence_threshold")
                outcome = decide(findings, subject, threshold)
                begun = time.monotonic()
                others = await self._alternatives(findings, outcome)
                findings.waited += time.monotonic() - begun
        except (TimeoutError, errors.DeadlineError):
            self._metrics.cancelled.labels("deadline").inc()
            self._metrics.outcomes.labels(subject.kind, "error", "deadline").inc()
            raise errors.deadline_passed() from None
        except errors.ServiceError as error:
            self._metrics.outcomes.labels(subject.kind, "error", error.slug).inc()
            raise
        elapsed_ms = int((time.monotonic() - started) * 1000)
        self._metrics.outcomes.labels(subject.kind, outcome.name, outcome.reason or "").inc()
        logs.event(
            logger,
            logging.INFO,
            "analysis ended",
            outcome=outcome.name,
            reason=outcome.reason,
            attempt=len(findings.attempts),
            duration_ms=elapsed_ms,
        )
        answered = render(findings, outcome, others, elapsed_ms)
        self._metrics.overhead.labels(subject.kind).observe(time.monotonic() - started - findings.waited)
        return answered

    async def _alternatives(self, findings: Findings, outcome: Outcome) -> list[AlternativeWorkflow]:
        """Looked up too, for people only: unknown ones and failed look-ups are dropped."""
        if findings.verdict is None or outcome.exhausted:
            return []
        kept: list[AlternativeWorkflow] = []
        for proposed in (findings.verdict.alternative_workflows or [])[:MAX_ALTERNATIVES]:
            try:
                row = await self._catalog.get(proposed.workflow_id)
            except errors.ServiceError:
                row = None
            if row is None:
                logs.event(logger, logging.INFO, "alternative dropped")
                continue
            kept.append(
                AlternativeWorkflow(
                    workflow_id=row.workflow_id,
                    container_image=row.container_image or None,
                    confidence=round(proposed.confidence, 4),
                    rationale=(proposed.rationale or "")[: answer.MAX_TEXT],
                )
            )
        return kept
