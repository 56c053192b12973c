"""The attempt loop: ask, parse, validate, and ask again with what was wrong."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from holmesgpt_api import errors, logs
from holmesgpt_api.catalog import Catalog, Workflow
from holmesgpt_api.config import Settings
from holmesgpt_api.investigation import prompt, search, validate
from holmesgpt_api.investigation.parse import ParseError, Verdict, parse, prose
from holmesgpt_api.investigation.subject import Subject
from holmesgpt_api.investigation.validate import Flaw
from holmesgpt_api.investigator.protocol import Investigation, Investigator, Task, result_limit
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.trail import Trail

CORRECTION_STEPS = 6
LEAST_SECONDS = 3.0


@dataclass(frozen=True)
class Attempt:
    number: int
    workflow_id: str | None
    flaws: tuple[Flaw, ...]
    timestamp: str

    @property
    def errors(self) -> list[str]:
        return [flaw.text for flaw in self.flaws]


@dataclass
class Findings:
    """What the attempts came to. `workflow` is set only when the last attempt is valid and named one."""

    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict | None = None  # the last that could be read
    workflow: Workflow | None = None
    analysis: str = ""
    tool_calls: int = 0
    waited: float = 0.0  # seconds for the investigator and the catalog

    @property
    def exhausted(self) -> bool:
        return bool(self.attempts and self.attempts[-1].flaws)


class AttemptLoop:
    def __init__(self, settings: Settings, investigator: Investigator, catalog: Catalog, metrics: Metrics) -> None:
        self._settings = settings
        self._investigator = investigator
        self._catalog = catalog
        self._metrics = metrics

    async def run(self, subject: Subject, trail: Trail, deadline: float) -> Findings:
        """At most three attempts; the first valid one ends the loop. A ServiceError ends the request."""
        findings, correction = Findings(), None
        for number in range(1, prompt.ATTEMPTS + 1):
            if deadline - asyncio.get_running_loop().time() < LEAST_SECONDS:
                raise errors.deadline_passed()
            attempt, row = await self._attempt(subject, number, correction, (findings, trail, deadline))
            findings.attempts.append(attempt)
            result = attempt.flaws[0].kind if attempt.flaws else "valid"
            self._metrics.validations.labels(result).inc()
            trail.validation_attempt(number, attempt.workflow_id, row.name if row else None, list(attempt.flaws))
            if not attempt.flaws:
                findings.workflow = row
                return findings
            root_cause = findings.verdict.root_cause_analysis.model_dump() if findings.verdict else None
            correction = prompt.Correction(tuple(attempt.errors), row.parameters if row else (), root_cause)
        return findings

    async def _attempt(
        self,
        subject: Subject,
        number: int,
        correction: prompt.Correction | None,
        context: tuple[Findings, Trail, float],
    ) -> tuple[Attempt, Workflow | None]:
        findings, trail, deadline = context
        system, user = prompt.build(subject, number, correction)
        catalog_search = search.CatalogSearch(
            self._catalog, subject, result_limit(self._settings["llm.context_window"])
        )
        steps = self._settings.count("llm.max_steps") if number == 1 else CORRECTION_STEPS
        task = Task(system, user, (catalog_search.tool,), steps, deadline)
        started = time.monotonic()
        record = await self._ask(task, number, trail)
        findings.waited += time.monotonic() - started
        findings.tool_calls += len(record.tool_calls)
        try:
            if record.out_of_steps:
                raise ParseError(f"no answer within {steps} steps")
            verdict = parse(record.text)
        except ParseError as error:
            return Attempt(number, None, (Flaw("parse", str(error)),), logs.now_ms()), None
        findings.verdict, findings.analysis = verdict, prose(record.text)
        proposed = verdict.selected_workflow
        if proposed is None:
            if verdict.investigation_outcome is None and catalog_search.all_failed:
                raise errors.catalog_unavailable()
            return Attempt(number, None, (), logs.now_ms()), None
        started = time.monotonic()
        row = await self._catalog.get(proposed.workflow_id, fresh=True)
        findings.waited += time.monotonic() - started
        flaws = tuple(validate.check(proposed, row, subject.previous))
        return Attempt(number, proposed.workflow_id[:255], flaws, logs.now_ms()), row

    async def _ask(self, task: Task, number: int, trail: Trail) -> Investigation:
        """Ask the model; the audit trail gets its events whether it answered or not."""
        record, started = Investigation(), time.monotonic()
        trail.llm_request(number, task)
        error_class: str | None = None
        try:
            await self._investigator.investigate(task, record)
        except errors.ServiceError as error:
            error_class = error.slug
            raise
        except asyncio.CancelledError:
            error_class = "cancelled"
            raise
        finally:
            elapsed = int((time.monotonic() - started) * 1000)
            trail.llm_response(number, record, elapsed, error_class)
            trail.tool_calls(number, record)
        return record
