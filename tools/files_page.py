"""Every file of the package in a line: ``python tools/files_page.py [--check]``.

Writes ``docs/files.md`` from the first sentence of each module and the public names that it
defines. ``--check`` writes nothing and fails if the page is not what would be written.
"""

from __future__ import annotations

import ast
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_tomodrgn"
PAGE = ROOT / "docs" / "files.md"
_HEAD = """# Every file

What is where, to be searched: each module with its first sentence and the names that it defines.
Written by `python tools/files_page.py`; `make lint` says if it is not up to date. The larger
picture is in [architecture](architecture.md).
"""


def public_names(tree: ast.Module) -> list[str]:
    """Classes, functions and constants of a module that are not private, in their order."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def line_of(path: Path) -> str | None:
    """The line of a module; None for one that is empty."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = ast.get_docstring(tree)
    if words is None:
        return None
    sentence = " ".join(words.split("\n\n")[0].split())
    names = ", ".join(f"`{name}`" for name in public_names(tree))
    return f"- `{path.name}`: {sentence}" + (f" *({names})*" if names else "")


def page() -> str:
    """The whole page."""
    files = sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent.as_posix(), path.name))
    parts = [_HEAD]
    for folder, inside in groupby(files, key=lambda path: path.parent):
        lines = [line for path in inside if (line := line_of(path)) is not None]
        if lines:
            name = folder.relative_to(PACKAGE.parent).as_posix()
            parts.append("\n".join([f"## {name}/", "", *lines, ""]))
    return "\n".join(parts)


def main() -> int:
    """Write the page, or say whether it is as it would be written."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not up to date: run python tools/files_page.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
