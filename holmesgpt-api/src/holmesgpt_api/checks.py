"""What a setting may be: each check returns the value in its one form, or says what it must be."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], Any]


class BadValueError(Exception):
    """What a value must be."""


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadValueError("must be a string that is not empty")
    return value.strip()


def url(value: Any) -> str:
    try:
        parts = urlsplit(text(value))
    except ValueError:  # its text may name the user part
        raise BadValueError("must be an http or https URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadValueError("must be an http or https URL")
    return text(value).rstrip("/")


def file(value: Any) -> str:
    """One that can be read now; its content is never told."""
    path = text(value)
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise BadValueError(f"must be a file that can be read: {error.strerror}") from None


def certificates(value: Any) -> str:
    path = file(value)
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # also what ssl raises
        raise BadValueError("must be a file of PEM certificates") from None
    return path


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1", "false", "0"):
        return value.lower() in ("true", "1")
    raise BadValueError("must be true or false")


def auth_mode(value: Any) -> str:
    """Also the switch of December 2025: true is token_review."""
    if isinstance(value, str) and value.lower() in ("none", "token_review"):
        return value.lower()
    try:
        return "token_review" if flag(value) else "none"
    except BadValueError:
        raise BadValueError("must be one of: none, token_review") from None


def texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise BadValueError("must be a list of strings that are not empty")
    return list(value)


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise BadValueError("must be a mapping")
    return dict(value)


def toolsets(value: Any) -> dict[str, Any]:
    if "workflow/catalog" in mapping(value):
        raise BadValueError("must not name workflow/catalog, which is always on")
    return dict(value)


def accounts(value: Any) -> list[str]:
    if not all(re.fullmatch(r"[a-z0-9.-]+/[a-z0-9.-]+", item) for item in texts(value)):
        raise BadValueError("must be a list of namespace/serviceaccount")
    return list(value)


def one_of(*allowed: str) -> Check:
    def check(value: Any) -> str:
        found = next((a for a in allowed if isinstance(value, str) and a.lower() == value.lower()), None)
        if found is None:
            raise BadValueError(f"must be one of: {', '.join(allowed)}")
        return found

    return check


def number(low: float, high: float, whole: bool = False) -> Check:
    def check(value: Any) -> float | int:
        wrong = BadValueError(f"must be {'a whole number ' if whole else ''}between {low} and {high}")
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise wrong
        try:
            parsed = int(value) if whole and not isinstance(value, float) else float(value)
        except ValueError:
            raise wrong from None
        if not math.isfinite(parsed) or not low <= parsed <= high or (whole and parsed != int(parsed)):
            raise wrong
        return int(parsed) if whole else parsed

    return check


def integer(low: int, high: int) -> Check:
    return number(low, high, whole=True)


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)
