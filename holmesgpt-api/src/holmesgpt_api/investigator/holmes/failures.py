"""What went wrong between us and the model, by status: the classes lie, and their texts are the endpoint's."""

from __future__ import annotations

from typing import Any

from holmesgpt_api import errors


def from_exception(error: Exception) -> errors.ServiceError:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        raise error  # no answer of an endpoint, so a bug
    headers: Any = getattr(error, "litellm_response_headers", None) or {}
    if status == 408 and not headers:
        return errors.llm_unavailable("the model endpoint did not answer in time")
    if 300 <= status < 400:
        return errors.llm_unavailable("the model endpoint wants to send the prompt elsewhere")
    return errors.from_llm_status(status, errors.parse_retry_after(headers.get("retry-after")))


NOT_LOADED = errors.ServiceError("service-unavailable", "the HolmesGPT SDK is not loaded yet", "service", 2)
CANCELLED = errors.ServiceError("service-unavailable", "the request was cancelled", "service", 1)
TOO_LONG = errors.ServiceError("internal-error", "the prompt does not fit the model's context window", "llm")
