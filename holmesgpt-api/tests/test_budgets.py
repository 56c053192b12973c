"""No module over 300 lines, no function over 40."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_sizes() -> None:
    over: list[str] = []
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py")]:
        text = path.read_text()
        if text.count("\n") > 300:
            over.append(f"{path.name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 40:
                    over.append(f"{path.name}: {node.name} has {lines} lines")
    assert over == []
