"""The gate between the SDK's loop and the model: every message passes here, and nothing else asks the model."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import litellm
import openai
from holmes.core.llm import DefaultLLM
from holmes.core.tool_calling_llm import LLMInterruptedError

from holmesgpt_api import errors
from holmesgpt_api.investigator.holmes import failures
from holmesgpt_api.investigator.holmes.arguments import read_arguments
from holmesgpt_api.investigator.holmes.endpoint import NO_KEY
from holmesgpt_api.scrub import scrub

LONGEST_WAIT = 10  # seconds; a longer Retry-After is left to the caller
OWN_FIELDS = ("token_count", "provider_specific_fields")
Wait = Callable[[threading.Event, float], bool]


@dataclass(frozen=True)
class Model:
    """What outlives a request: where the model is and how it is asked."""

    name: str  # <provider>/<model>, as LiteLLM routes it
    client: openai.OpenAI
    key: str | None
    timeout: float
    max_retries: int
    max_tokens: int
    temperature: float | None
    window: int | None
    observe: Callable[[str, float, int, int], None]  # status, seconds, prompt and completion tokens
    scrubbed: Callable[[str], None]  # the kind of a credential that was taken out
    wait: Wait = field(default=threading.Event.wait)


def route(provider: str, model: str) -> str:
    """`<provider>/<model>`, unless the model's name begins with a provider already."""
    known = {str(getattr(p, "value", p)) for p in litellm.provider_list}
    return model if model.partition("/")[0] in known and "/" in model else f"{provider}/{model}"


class Gate(DefaultLLM):
    """One for each conversation; used by the thread that runs the SDK's loop, read by the event loop under its lock."""

    def __init__(self, model: Model, max_steps: int, deadline: float, cancel: threading.Event) -> None:
        arguments = {"custom_args": {"max_context_size": model.window}} if model.window else None
        super().__init__(model.name, model.key or NO_KEY, str(model.client.base_url), args=arguments)
        self._to = model
        self._deadline = deadline  # of time.monotonic
        self._cancel = cancel
        self._steps = max_steps
        self.lock = threading.Lock()
        self.completions = 0
        self.requests = 0
        self.tokens = 0
        self.calls: list[tuple[str, str, dict[str, Any]]] = []  # id, name, arguments, as the model made them
        self.messages: list[dict[str, Any]] = []  # those that the loop showed last; it throws them away on an error

    @property
    def out_of_steps(self) -> bool:
        return self.completions >= self._steps

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._deadline

    def get_maximum_output_token(self) -> int:
        """Else 64,000 tokens are reserved, and a smaller window fits nothing."""
        return self._to.max_tokens

    def completion(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        tool_choice: Any = None,
        response_format: Any = None,
        temperature: float | None = None,
        drop_params: bool | None = None,
        stream: bool | None = None,
    ) -> Any:
        del response_format, temperature, drop_params, stream  # ours are in the model
        with self.lock:
            self.messages = messages
            self.completions += 1
        body: dict[str, Any] = {"messages": [clean(message, self._to.scrubbed) for message in messages]}
        if tools and tool_choice == "auto":
            body |= {"tools": tools, "tool_choice": "auto"}
        for retry in range(self._to.max_retries + 1):
            try:
                answer = self._send(body)
            except errors.ServiceError as error:
                wait = self._wait_before(retry, error)
                if wait is None:
                    raise
                if self._to.wait(self._cancel, wait):
                    raise LLMInterruptedError from None
            else:
                self._repair(answer)
                return answer
        raise AssertionError("unreachable: the last try returns or raises")

    def _send(self, body: dict[str, Any]) -> Any:
        left = self._deadline - time.monotonic()
        if self._cancel.is_set() or left <= 0:
            raise LLMInterruptedError
        sampling = {} if self._to.temperature is None else {"temperature": self._to.temperature}
        started, status, usage = time.monotonic(), "error", (0, 0)
        with self.lock:
            self.requests += 1
        try:
            answer = litellm.completion(
                model=self.model,
                client=self._to.client,
                api_key=self.api_key,
                timeout=min(self._to.timeout, left),
                num_retries=0,
                max_retries=0,
                max_tokens=self._to.max_tokens,
                drop_params=True,
                **sampling,
                **body,
            )
            status, usage = "success", used(answer)
        except errors.ServiceError:
            raise
        except Exception as error:
            status = "timeout" if getattr(error, "status_code", None) == 408 else "error"
            raise failures.from_exception(error) from None
        finally:
            self._to.observe(status, time.monotonic() - started, *usage)
        with self.lock:
            self.tokens += sum(usage)
        return answer

    def _wait_before(self, retry: int, error: errors.ServiceError) -> float | None:
        """None: not worth another try. 1 s, 2 s, 4 s with 10 % jitter, or what the endpoint asks for."""
        if retry >= self._to.max_retries or error.slug not in ("service-unavailable", "too-many-requests"):
            return None
        if error.slug == "too-many-requests" and (error.retry_after or LONGEST_WAIT + 1) > LONGEST_WAIT:
            return None
        wait = float(error.retry_after or 2**retry * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
        return wait if wait <= min(LONGEST_WAIT, self._deadline - time.monotonic()) else None

    def _repair(self, answer: Any) -> None:
        """Ids that are missing or were used before would confuse the pairing of calls and results."""
        taken = {identity for identity, _, _ in self.calls}
        made = []
        for call in answer.choices[0].message.tool_calls or []:
            arguments = read_arguments(call.function.arguments)
            if not call.id or call.id in taken:
                call.id = f"call_{len(taken) + 1}_{self.completions}"
            taken.add(call.id)
            made.append((call.id, call.function.name, arguments))
        with self.lock:
            self.calls += made


def clean(message: dict[str, Any], scrubbed: Callable[[str], None]) -> dict[str, Any]:
    """Without the SDK's own members, with the `content` that endpoints demand, and without a credential."""
    kept = {key: value for key, value in message.items() if key not in OWN_FIELDS}
    if kept.get("content") is None:
        kept["content"] = ""
    cleaned: dict[str, Any] = scrub(kept, scrubbed)
    return cleaned


def used(answer: Any) -> tuple[int, int]:
    usage = getattr(answer, "usage", None)
    counts = (getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0))
    prompt, completion = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return prompt, completion
