"""Typed errors with one table to status and problem type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PROBLEM_BASE = "https://kubernaut.ai/problems/"
MAX_DETAIL = 512
MAX_FIELD_ERRORS = 100

# slug -> (status, title)
PROBLEMS: dict[str, tuple[int, str]] = {
    "validation-error": (400, "Bad Request"),
    "unauthorized": (401, "Unauthorized"),
    "forbidden": (403, "Forbidden"),
    "not-found": (404, "Not Found"),
    "method-not-allowed": (405, "Method Not Allowed"),
    "payload-too-large": (413, "Payload Too Large"),
    "too-many-requests": (429, "Too Many Requests"),
    "internal-error": (500, "Internal Server Error"),
    "service-unavailable": (503, "Service Unavailable"),
}


@dataclass(eq=False)
class ServiceError(Exception):
    """Ends a request with a problem. `detail` carries no addresses, keys or model text."""

    slug: str
    detail: str
    source: str  # request, auth, llm, catalog, service
    retry_after: int | None = None
    field_errors: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return PROBLEMS[self.slug][0]

    def __str__(self) -> str:
        return f"{self.slug} ({self.source}): {self.detail}"


class DeadlineError(ServiceError):
    """The time of the whole request is over."""


def bad_request(errors: dict[str, str]) -> ServiceError:
    """All mistakes of a body at once; the detail starts with the first."""
    path, text = next(iter(errors.items()))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    kept = dict(list(errors.items())[:MAX_FIELD_ERRORS])
    return ServiceError("validation-error", f"{path}: {text}{more}", "request", field_errors=kept)


def from_llm_status(status: int, retry_after: int | None) -> ServiceError:
    """What a model endpoint's refusal means for the caller."""
    if status == 401:
        return ServiceError("unauthorized", "the model endpoint rejected the key", "llm")
    if status == 403:
        return ServiceError("forbidden", "the model endpoint refused access", "llm")
    if status == 429:
        return ServiceError("too-many-requests", "the model endpoint is over its quota", "llm", retry_after)
    if status >= 500 or status == 408:
        return ServiceError("service-unavailable", f"the model endpoint answered {status}", "llm", retry_after)
    return ServiceError("internal-error", f"the model endpoint answered {status}", "llm")


def llm_unavailable(why: str) -> ServiceError:
    return ServiceError("service-unavailable", why, "llm")


def catalog_unavailable(retry_after: int | None = None) -> ServiceError:
    return ServiceError("service-unavailable", "the workflow catalog is unavailable", "catalog", retry_after)


def deadline_passed() -> ServiceError:
    return DeadlineError("service-unavailable", "the request's deadline has passed", "service")


def shutting_down() -> ServiceError:
    return ServiceError("service-unavailable", "the service is shutting down", "service", 1)


def problem(error: ServiceError, instance: str, request_id: str) -> dict[str, Any]:
    """The body of RFC 7807, with our members."""
    status, title = PROBLEMS[error.slug]
    body: dict[str, Any] = {
        "type": PROBLEM_BASE + error.slug,
        "title": title,
        "status": status,
        "detail": error.detail[:MAX_DETAIL],
        "instance": instance,
        "request_id": request_id,
        "source": error.source,
    }
    if error.slug == "validation-error":
        body["field_errors"] = error.field_errors
    return body


def parse_retry_after(value: str | None) -> int | None:
    """Whole seconds cut to 1..300; a date or nonsense is as good as none."""
    digits = (value or "").strip()
    if not (digits.isascii() and digits.isdecimal()):
        return None
    return min(300, max(1, int(digits[:9])))
