"""Every file, and every number, of the package: ``python tools/files_page.py [--check]``.

Writes ``docs/files.md`` from the first sentence of each module and the public names that it
defines, and ``docs/numbers.md`` from its constants that are numbers, private ones among them, with
the comment that says what they are for. ``--check`` writes nothing and fails if a page is not what
would be written.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_tomodrgn"
_FILES = """# Every file

What is where, to be searched: each module with its first sentence and the names that it defines.
Written by `python tools/files_page.py`; `make lint` says if it is not up to date. The larger
picture is in [architecture](architecture.md), each limit and default that is no option in
[numbers](numbers.md).
"""
_NUMBERS = """# Every number

Limits, thresholds, sizes and times that are constants of a module or what a value begins with, with
what is said of them there, to be searched. What is an option, with a default, is in `config/` and
in the command line's help; ranges of single fields of the window are where these are made.
Written by `python tools/files_page.py`; `make lint` says if it is not up to date.
"""


def assigned(node: ast.stmt) -> list[str]:
    """Names that a statement of a module assigns."""
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    else:
        targets = list(node.targets) if isinstance(node, ast.Assign) else []
    parts = [
        part for one in targets for part in (one.elts if isinstance(one, ast.Tuple) else [one])
    ]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def public_names(tree: ast.Module) -> list[str]:
    """Classes, functions and constants of a module that are not private, in their order."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        else:
            names += assigned(node)
    return [name for name in names if not name.startswith("_")]


def is_number(node: ast.expr | None) -> bool:
    """Whether an expression is made of numbers alone."""
    made_of = ast.Constant | ast.BinOp | ast.UnaryOp | ast.Tuple | ast.operator | ast.unaryop
    parts = [] if node is None else list(ast.walk(node))
    values = [part.value for part in parts if isinstance(part, ast.Constant)]
    numbers = all(type(value) in (int, float) for value in values)
    return (
        bool(values) and numbers and all(isinstance(p, made_of | ast.expr_context) for p in parts)
    )


def comment_of(lines: list[str], node: ast.stmt) -> str:
    """What is said above a statement, or behind it."""
    first = node.lineno - 1
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    above = [line.lstrip("# ") for line in lines[first : node.lineno - 1]]
    behind = re.search(r"  # (.*)$", lines[(node.end_lineno or node.lineno) - 1])
    return " ".join(above + ([behind[1]] if behind else [])).replace("|", "\\|")


def shown(path: Path) -> str:
    """A module as one would type it, below the package: lines are found one by one."""
    return path.relative_to(PACKAGE).as_posix()


def numbers_of(path: Path) -> Iterator[str]:
    """A line for each constant of a module that is a number."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    of_classes = [
        (f"{owner.name}.", node)
        for owner in tree.body
        if isinstance(owner, ast.ClassDef) and "config" not in path.parts
        for node in owner.body
    ]
    for owner, node in [("", node) for node in tree.body] + of_classes:
        value = getattr(node, "value", None)
        names = [name for name in assigned(node) if name.isupper() or owner]
        if names and is_number(value):
            said = comment_of(lines, node)
            stated = f"`{owner}{', '.join(names)} = {ast.unparse(value).strip('()')}`"
            yield f"- `{shown(path)}` {stated}" + (f": {said}" if said else "")


def line_of(path: Path) -> Iterator[str]:
    """The line of a module; none for one that is empty."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = ast.get_docstring(tree)
    if words is not None:
        sentence = " ".join(words.split("\n\n")[0].split())
        names = ", ".join(f"`{name}`" for name in public_names(tree))
        yield f"- `{shown(path)}`: {sentence}" + (f" *({names})*" if names else "")


def page(head: str, lines_of: Callable[[Path], Iterator[str]]) -> str:
    """A whole page: a heading for each folder, and the lines of its modules."""
    files = sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent.as_posix(), path.name))
    parts = [head]
    for folder, inside in groupby(files, key=lambda path: path.parent):
        lines = [line for path in inside for line in lines_of(path)]
        if lines:
            name = folder.relative_to(PACKAGE.parent).as_posix()
            parts.append("\n".join([f"## {name}/", "", *lines, ""]))
    return "\n".join(parts)


def main() -> int:
    """Write the pages, or say whether they are as they would be written."""
    pages = {"files.md": page(_FILES, line_of), "numbers.md": page(_NUMBERS, numbers_of)}
    outdated = 0
    for name, text in pages.items():
        path = ROOT / "docs" / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"docs/{name} is not up to date: run python tools/files_page.py")
            outdated = 1
    return outdated


if __name__ == "__main__":
    sys.exit(main())
