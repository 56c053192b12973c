"""The scripted investigator and its catalog. The two YAML files are the test cluster's, held equal by a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


def load(name: str) -> Any:
    """One of the two files; the fast loader where the library was built with it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((HERE / name).read_text(encoding="utf-8"), loader)  # noqa: S506 - both are safe loaders
