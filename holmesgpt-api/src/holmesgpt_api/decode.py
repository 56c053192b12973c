"""From the bytes of a body to a checked model: everything wrong is said at once, by path."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holmesgpt_api.errors import bad_request

MAX_DEPTH = 64
SURROGATE = re.compile("[\ud800-\udfff]")
M = TypeVar("M", bound=BaseModel)

TYPE_TEXTS = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be a boolean",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def decode(model: type[M], body: bytes, content_type: str) -> M:
    """Raise one 400 with all field errors, or return the model."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise bad_request({"body": "must be sent as application/json"})
    value = load_json(body)
    if not isinstance(value, dict):
        raise bad_request({"body": "must be a JSON object"})
    if flaws := dict(find_flaws(value)):
        raise bad_request(flaws)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise bad_request(field_errors(error)) from None


def load_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN or Infinity, no trailing bytes, bounded nesting."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(body.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise bad_request({"body": f"must not be nested deeper than {MAX_DEPTH}"}) from None
    except UnicodeDecodeError:
        raise bad_request({"body": "must be UTF-8"}) from None
    except ValueError:
        raise bad_request({"body": "must be valid JSON"}) from None


def find_flaws(root: Any, max_depth: int = MAX_DEPTH) -> list[tuple[str, str]]:
    """What the JSON module lets through and nobody downstream can store."""
    flaws: list[tuple[str, str]] = []
    stack: list[tuple[str, Any, int]] = [("", root, 1)]
    while stack:
        path, value, depth = stack.pop()
        if depth > max_depth and isinstance(value, (dict, list)):
            return [("body", f"must not be nested deeper than {max_depth}")]
        if isinstance(value, str):
            flaws += _text_flaws(path, value)
        elif isinstance(value, float) and not math.isfinite(value):
            flaws.append((path, "must be a finite number"))
        elif isinstance(value, list):
            stack += [(f"{path}[{i}]", item, depth + 1) for i, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                if _text_flaws("body", key):
                    return [("body", "member names must not contain U+0000 or lone surrogates")]
                stack.append((f"{path}.{key}" if path else key, item, depth + 1))
    return flaws[::-1]


def _text_flaws(path: str, text: str) -> list[tuple[str, str]]:
    if "\x00" in text:
        return [(path, "must not contain U+0000")]
    if SURROGATE.search(text):
        return [(path, "must not contain lone surrogates")]
    return []


def field_errors(error: ValidationError) -> dict[str, str]:
    return {_path(e["loc"]): _text(e["type"], e.get("ctx", {}), e["input"]) for e in error.errors(include_url=False)}


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else part)
    return path or "body"


def _text(kind: str, ctx: dict[str, Any], value: Any) -> str:
    if kind in TYPE_TEXTS:
        return TYPE_TEXTS[kind]
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "too_long":
        return f"must have at most {ctx['max_length']} entries"
    if kind == "literal_error":
        return "must be one of: " + str(ctx["expected"]).replace("'", "").replace(" or ", ", ")
    return _bound_text(ctx, value) if {"ge", "le", "max_length"} & ctx.keys() else "is not valid"


def _bound_text(ctx: dict[str, Any], value: Any) -> str:
    if "max_length" in ctx:
        return f"must be at most {ctx['max_length']} characters (got {len(value)})"
    if "le" in ctx or isinstance(ctx["ge"], float):  # the only number with bounds that is no integer
        return f"must be between 0 and 1 (got {str(value)[:64]})"
    return f"must be at least {ctx['ge']} (got {str(value)[:64]})"
