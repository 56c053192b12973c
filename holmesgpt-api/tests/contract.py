"""Reads an OpenAPI file: what is wrong with a value, and a value that has every member."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

Schema = dict[str, Any]
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
FORMATS: dict[str, Callable[[str], object]] = {"uuid": UUID, "date-time": datetime.fromisoformat}
EXAMPLES = {"uuid": "a075949c-3e59-5585-aecb-59fa16dad7e7", "date-time": "2026-01-02T03:04:05Z"}
# What a keyword forbids; the value has the schema's type already.
BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "minLength": lambda value, bound: len(value) < bound,
    "maxLength": lambda value, bound: len(value) > bound,
    "minItems": lambda value, bound: len(value) < bound,
    "maxItems": lambda value, bound: len(value) > bound,
    "maxProperties": lambda value, bound: len(value) > bound,
    "minimum": lambda value, bound: value < bound,
    "maximum": lambda value, bound: value > bound,
    "enum": lambda value, bound: value not in bound,
    "format": lambda value, bound: not reads(FORMATS.get(bound, str), value),
}


class Contract:
    def __init__(self, path: Path) -> None:
        self._document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """The operation that a request goes to; its path may have parameters in the contract."""
        for template, methods in self._document["paths"].items():
            if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) and method.lower() in methods:
                found: dict[str, Any] = methods[method.lower()]
                return found
        raise AssertionError(f"{method} {path}: not in the contract")

    def body(self, part: dict[str, Any]) -> Schema:
        """The schema of a request body or a response."""
        (content,) = self.resolve(part)["content"].values()
        return self.resolve(content["schema"])

    def resolve(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        found: Any = self._document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return self.resolve(found)

    def flaws(self, schema: Schema, value: Any, where: str, partial: bool = False) -> list[str]:
        """What is wrong; unknown members are, and those that are missing unless `partial`."""
        schema = self.resolve(schema)
        if "type" not in schema or (value is None and schema.get("nullable")):
            return []
        kind = TYPES[schema["type"]]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return [f"{where}: {value!r} is no {schema['type']}"]
        found = [
            f"{where}: {value!r} breaks {word}" for word in BOUNDS if word in schema and broken(schema, word, value)
        ]
        if isinstance(value, list):
            for i, item in enumerate(value):
                found += self.flaws(schema["items"], item, f"{where}[{i}]", partial)
        if isinstance(value, dict):
            found += self._member_flaws(schema, value, where, partial)
        return found

    def _member_flaws(self, schema: Schema, value: dict[str, Any], where: str, partial: bool) -> list[str]:
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        found = [] if partial else [f"{where}.{n}: is missing" for n in schema.get("required", []) if n not in value]
        for name, item in value.items():
            if name in known or isinstance(more, dict):
                found += self.flaws(known.get(name, more), item, f"{where}.{name}", partial)
            elif more is not True:
                found.append(f"{where}.{name}: is not in the contract")
        return found

    def example(self, schema: Schema) -> Any:
        """A value with every member; nothing in it is empty or zero."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "object":
            return {name: self.example(item) for name, item in schema.get("properties", {}).items()}
        if schema.get("type") == "array":
            return [self.example(schema["items"])]
        simple = {"boolean": True, "integer": schema.get("maximum", 7), "number": schema.get("maximum", 7)}
        text = EXAMPLES.get(schema.get("format", ""), "x" * schema.get("minLength", 1))
        return simple.get(schema.get("type", ""), text)


def broken(schema: Schema, word: str, value: Any) -> bool:
    return BOUNDS[word](value, schema[word])


def reads(parse: Callable[[str], object], value: Any) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True
