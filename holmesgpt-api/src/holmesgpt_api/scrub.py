"""Credentials out of what goes to the model, to the log and into audit events.

Structured values are walked and keep their shape, texts lose the secret.

Every rule runs in linear time, and what it leaves is left by a second run too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MARK = "[REDACTED]"
Replace = str | Callable[[re.Match[str]], str]

_NAME = (
    r"(?:password|passwd|passphrase|pwd|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|secret"
    r"|access[_-]?token|refresh[_-]?token|id[_-]?token|token|api[_-]?key|private[_-]?key|credentials?|authorization)"
)
# A whole name, or the part after an underscore, a dash, a dot or a hump: `DB_PASSWORD`, `dbPassword`; not `tokenizer`.
_KEY = re.compile(
    rf"(?i:(?:^|.*[_.\-]){_NAME}(?:[_.\-].*)?$)|(?:^|.*[a-z0-9])(?:Password|Passwd|Secret|Token|ApiKey|APIKey)$"
)
_KEY_IN_TEXT = rf"(?:[A-Za-z0-9.]{{1,64}}[_.-])?{_NAME}(?:[_-][A-Za-z0-9_-]{{1,64}})?"
RULES: tuple[tuple[str, re.Pattern[str], Replace], ...] = (
    ("pem", re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?(?:-----END \1-----|\Z)", re.DOTALL), MARK),
    ("secret_manifest", re.compile(r"(?m)^([ \t]*)((?:string)?[dD]ata):[ \t]*\n(?:\1[ \t]+[^\n]*(?:\n|\Z))+"), ""),
    (
        "url_user",
        re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{1,20}://)[^\s/@\"'<>]{1,512}@"),
        rf"\1{MARK}@",
    ),
    (
        "authorization",
        re.compile(r"(?i)\b(bearer|basic)([ \t]+)(?!\[REDACTED\])[A-Za-z0-9._~+/=-]{8,}"),
        rf"\1\2{MARK}",
    ),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), MARK),
    (
        "vendor_key",
        re.compile(
            r"(?<![A-Za-z0-9_-])(?:(?:sk-|gh[po]_|github_pat_|glpat-|xox[a-z]-)[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}\b)"
        ),
        MARK,
    ),
    (
        "named",
        re.compile(
            rf"(?i)(?<![A-Za-z0-9])(\\?[\"']?{_KEY_IN_TEXT}\\?[\"']?[ \t]*[:=][ \t]*)"
            rf"(?!\\?[\"']?\[REDACTED\])"
            rf"(?:\\?\"(?:[^\"\\\n]|\\[^\"\n])+|'[^'\n]+|(?:bearer|basic)[ \t]+\S+|[^\s\"',;&}}\]\\]+)"
        ),
        lambda m: m[1] + _quote(m[0][len(m[1]) :]) + MARK,
    ),
)


def _quote(value: str) -> str:
    opening = re.match(r"\\?[\"']", value)
    return opening[0] if opening else ""


def scrub(value: Any, count: Callable[[str], None] | None = None) -> Any:
    """The same shape without credentials; `count` gets the kind of each text that changed."""
    if isinstance(value, str):
        return text(value, count)
    if isinstance(value, dict):
        return {key: _member(key, item, count) for key, item in value.items()}
    return [scrub(item, count) for item in value] if isinstance(value, list | tuple) else value


def _member(key: Any, value: Any, count: Callable[[str], None] | None) -> Any:
    if isinstance(key, str) and isinstance(value, str) and value and secret_name(key):
        if count:
            count("named")
        return MARK
    return scrub(value, count)


def secret_name(key: str) -> bool:
    return len(key) <= 255 and _KEY.match(key) is not None


def text(value: str, count: Callable[[str], None] | None = None) -> str:
    """A rule that fails redacts everything: nothing passes because of a bug here."""
    try:
        return _text(value, count)
    except (re.error, RecursionError, IndexError):
        return MARK


def _text(value: str, count: Callable[[str], None] | None) -> str:
    for kind, pattern, replacement in RULES:
        if kind == "secret_manifest":
            changed = pattern.sub(_manifest, value) if re.search(r"(?m)^[ \t]*kind:[ \t]*Secret\b", value) else value
        else:
            changed = pattern.sub(replacement, value)
        if changed != value and count:
            count(kind)
        value = changed
    return value


def _manifest(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}: {MARK}\n"
