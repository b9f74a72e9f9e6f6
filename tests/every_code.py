"""The codes that the source can give, found in the source, for tests that want all of them."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "napari_tomodrgn"
DOCS = SOURCE.parents[1] / "docs" / "checks.md"
# Position of the code among the arguments of what is told of a set.
_PLACE = {"Check": 0, "CheckResult": 1, "CheckSpec": 1, "Remark": 0}


def _calls(folder: str) -> list[ast.Call]:
    trees = [ast.parse(path.read_text()) for path in sorted((SOURCE / folder).rglob("*.py"))]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def codes_told(folder: str) -> set[str]:
    """Codes of checks that are written out in a folder of the source."""
    found = set()
    for call in _calls(folder):
        place = _PLACE.get(_name(call))
        if place is not None and len(call.args) > place:
            code = call.args[place]
            if isinstance(code, ast.Constant):
                found.add(code.value)
    return found


def codes_refused(folder: str) -> set[str]:
    """Codes of the errors that reading stops at; of a name that is put together, its start."""
    found = set()
    for call in _calls(folder):
        for keyword in call.keywords:
            if _name(call) == "BadInputError" and keyword.arg == "code":
                value = keyword.value
                first = value.values[0] if isinstance(value, ast.JoinedStr) else value
                found.add(first.value)
    return found


def codes_documented() -> set[str]:
    """First column of the tables of the page on checks."""
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    return {row.split("`")[1] for row in rows}
