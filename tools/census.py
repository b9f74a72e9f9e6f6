"""Count what makes this code easy or hard to live in; with ``--check``, name broken budgets.

    python tools/census.py            the table of docs/architecture.md
    python tools/census.py --check    one line for each broken budget, exit 1 if there is any

Read from the syntax trees of ``src/``, so nothing is imported. The ways that one value takes
through the code are counted from a real run by ``tools/ways.py``.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "napari_tomodrgn"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_BODY_LINES = 40
MAX_PARAMETERS = 6
MAX_ANY_PER_THOUSAND = 6
MIN_SHARE_WITH_SHAPES = 90
MAX_MODULES_IN_A_FOLDER = 16
# A function handles arrays if an annotation of its signature names one of these.
_ARRAYS = re.compile(r"\b(Tensor|NDArray|ndarray)\b")
# `(particle, 1 + J)`, "shape (z, y, x)", "per particle", "one a row": how docstrings tell shapes.
_SHAPES = re.compile(
    r"\([^()\n]*\w[^()\n]*,[^()\n]*\)|\bshape\b|\bscalar|0-d|\bone (value|number|row)"
)
# Copied lines count from this many in a row on, blank lines and imports left out.
_REPEATED_LINES = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def room(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def imports(self, known: set[str]) -> set[str]:
        """Modules of the package that are imported anywhere in the file, types included."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inside & known
                # `from package import module` asks the module, not the package around it.
                if not inside <= known:
                    found.add(node.module)
        return (found & known) - {self.name}


def modules(source: Path) -> list[Module]:
    """All files of the package below ``source``."""
    found = []
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path))
    return found


# -- graphs ---------------------------------------------------------------------------------------


def import_graph(every: list[Module]) -> dict[str, set[str]]:
    """Which module imports which. The package's own ``__init__`` looks names up when asked."""
    known = {module.name for module in every}
    return {m.name: m.imports(known) for m in every if m.name != PACKAGE}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle (Tarjan's components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    sys.setrecursionlimit(10_000)
    for name in sorted(graph):
        if name not in number:
            visit(name)
    return found


def single_importers(graph: dict[str, set[str]]) -> int:
    """How many modules are imported by exactly one other."""
    importers = Counter(other for imported in graph.values() for other in imported)
    return sum(count == 1 for count in importers.values())


# -- functions ------------------------------------------------------------------------------------


def length(function: Function) -> int:
    """Lines of a function, signature and docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def body_length(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: Function) -> int:
    """Parameters of a function without ``self`` and ``cls``."""
    given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return sum(argument.arg not in ("self", "cls") for argument in given)


def names_shapes(function: Function) -> bool | None:
    """Whether the docstring of a public function on arrays tells a shape; None for others."""
    given = [a.annotation for a in function.args.args + function.args.kwonlyargs]
    text = " ".join(ast.unparse(a) for a in [*given, function.returns] if a is not None)
    doc = ast.get_docstring(function)
    if function.name.startswith("_") or not _ARRAYS.search(text) or doc is None:
        return None if function.name.startswith("_") or not _ARRAYS.search(text) else False
    return bool(_SHAPES.search(doc))


# -- lines ----------------------------------------------------------------------------------------


def comment_lines(module: Module) -> int:
    """Lines that are a comment and nothing else."""
    with module.path.open("rb") as stream:
        tokens = tokenize.tokenize(stream.readline)
        return sum(t.type == tokenize.COMMENT and t.line.strip().startswith("#") for t in tokens)


def repeated_lines(every: list[Module]) -> int:
    """Lines that stand, in runs of at least six, in more than one place."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for module in every:
        code = [
            (number, line.strip())
            for number, line in enumerate(module.text.splitlines())
            if line.strip() and not line.strip().startswith(("import ", "from ", "#"))
        ]
        for at in range(len(code) - _REPEATED_LINES + 1):
            run = code[at : at + _REPEATED_LINES]
            places[tuple(line for _, line in run)].extend((module.name, n) for n, _ in run)
    repeated = set()
    for found in places.values():
        if len(found) > _REPEATED_LINES:
            repeated.update(found)
    return len(repeated)


def repeated_public_names(every: list[Module]) -> list[str]:
    """Public classes and functions that are defined in more than one module."""
    homes: dict[str, set[str]] = defaultdict(set)
    for module in every:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                homes[node.name].add(module.name)
    return sorted(name for name, where in homes.items() if len(where) > 1)


def any_per_thousand(every: list[Module]) -> float:
    """How often `Any` stands in 1,000 lines."""
    found = sum(len(re.findall(r"\bAny\b", module.text)) for module in every)
    return 1000 * found / sum(module.lines for module in every)


def share_with_shapes(every: list[Module]) -> float:
    """Of public functions on arrays, those whose docstring names a shape, in per cent."""
    told = [one for module in every for one in map(names_shapes, module.functions)]
    known = [one for one in told if one is not None]
    return 100 * sum(known) / len(known)


def private_reaches(module: Module) -> int:
    """Uses of another object's underscored attribute."""
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        and not (isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()")
        for node in ast.walk(module.tree)
    )


def folders(every: list[Module]) -> Counter[str]:
    """Modules in each folder, ``__init__`` not counted."""
    return Counter(m.room for m in every if m.path.name != "__init__.py")


# -- what is printed ------------------------------------------------------------------------------


def table(every: list[Module]) -> Iterator[tuple[str, str]]:
    """Rows of the census."""
    graph = import_graph(every)
    functions = [function for module in every for function in module.functions]
    lines = sum(module.lines for module in every)
    in_functions = sum(map(length, functions))
    text = "\n".join(module.text for module in every)
    fullest, most = folders(every).most_common(1)[0]
    long_share = [
        100 * sum(length(f) for f in functions if length(f) > limit) / in_functions
        for limit in (MAX_FUNCTION_LINES, MAX_BODY_LINES)
    ]
    twice = repeated_public_names(every)
    yield "files / lines", f"{len(every)} / {lines / 1000:.1f}k"
    yield "modules in the fullest folder", f"{most} ({fullest})"
    yield "modules imported by exactly one other", f"{single_importers(graph)}"
    yield "import circles", f"{len(circles(graph))}"
    yield "code in functions > 60 / > 40 lines, %", f"{long_share[0]:.1f} / {long_share[1]:.1f}"
    yield "bodies > 40 lines", f"{sum(body_length(f) > MAX_BODY_LINES for f in functions)}"
    yield (
        "functions with > 6 parameters",
        f"{sum(parameters(f) > MAX_PARAMETERS for f in functions)}",
    )
    yield "repeated lines, %", f"{100 * repeated_lines(every) / lines:.1f}"
    excepts = len(re.findall(r"except (Exception|BaseException)\b|except:", text))
    yield "private reaches", f"{sum(map(private_reaches, every))}"
    yield "broad excepts / type: ignore", f"{excepts} / {len(re.findall('type: ignore', text))}"
    yield "`Any` per 1,000 lines", f"{any_per_thousand(every):.1f}"
    yield "comment lines, %", f"{100 * sum(map(comment_lines, every)) / lines:.1f}"
    yield (
        "array functions whose docstring names a shape, %",
        f"{share_with_shapes(every):.0f}",
    )
    yield "public names that exist twice", f"{len(twice)}: {', '.join(twice)}" if twice else "0"


def broken_budgets(every: list[Module]) -> Iterator[str]:
    """One line for each budget that is broken."""
    yield from broken_by_all(every)
    for module in every:
        if module.lines > MAX_FILE_LINES:
            yield f"{module.path}: {module.lines} lines (at most {MAX_FILE_LINES})"
        for function in module.functions:
            where = f"{module.path}:{function.lineno} {function.name}"
            if length(function) > MAX_FUNCTION_LINES:
                yield f"{where}: {length(function)} lines (at most {MAX_FUNCTION_LINES})"
            if body_length(function) > MAX_BODY_LINES:
                yield f"{where}: body of {body_length(function)} lines (at most {MAX_BODY_LINES})"
            if parameters(function) > MAX_PARAMETERS:
                yield f"{where}: {parameters(function)} parameters (at most {MAX_PARAMETERS})"


def broken_by_all(every: list[Module]) -> Iterator[str]:
    """Budgets of the package as a whole."""
    for circle in circles(import_graph(every)):
        yield f"import circle: {' <-> '.join(circle)}"
    for room, count in folders(every).items():
        if count > MAX_MODULES_IN_A_FOLDER:
            yield f"{room}: {count} modules (at most {MAX_MODULES_IN_A_FOLDER})"
    for name in repeated_public_names(every):
        yield f"{name}: a public name that exists twice"
    found, shapes = any_per_thousand(every), share_with_shapes(every)
    if found > MAX_ANY_PER_THOUSAND:
        yield f"`Any`: {found:.1f} in 1,000 lines (at most {MAX_ANY_PER_THOUSAND})"
    if shapes < MIN_SHARE_WITH_SHAPES:
        yield f"shapes in docstrings: {shapes:.0f} % (at least {MIN_SHARE_WITH_SHAPES} %)"


def main() -> int:
    """Print the census, or what breaks a budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--check", action="store_true", help="only say which budgets are broken")
    options = parser.parse_args()
    every = modules(options.source)
    if options.check:
        broken = list(broken_budgets(every))
        print(*broken, sep="\n" if broken else "")
        return 1 if broken else 0
    print("| | |\n|---|---|")
    for name, value in table(every):
        print(f"| {name} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
