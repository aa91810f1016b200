"""What code a result was made by, as a few letters that change when that code does."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

LENGTH = 8  # letters of a digest


class Source(NamedTuple):
    """A module as Python reads it."""

    code: str  # without comments, docstrings and layout
    imports: tuple[str, ...]


def digest(text: str) -> str:
    """Tell texts apart by a few letters."""
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def version(modules: Iterable[str]) -> str:
    """Give the letters of these modules and of all that they import from their own packages.

    Comments, docstrings and layout do not count, so that explaining the code changes nothing.
    Installed packages do not count either, but for this one: a lock file holds those fast.
    """
    return digest("\n".join(f"# {name}\n{code}" for name, code in sorted(reached(modules).items())))


def reached(modules: Iterable[str]) -> dict[str, str]:
    """Find the code of these modules and of those they import, directly or not, by name.

    Imports count wherever they stand, but only those of the package that a module is in.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        source = None if name in found else read(name)
        if source is not None:
            found[name] = source.code
            package = name.split(".")[0]
            waiting += [each for each in source.imports if each.split(".")[0] == package]
    return found


@cache
def read(module: str) -> Source | None:
    """Read a module; None for what is none, is not written in Python, or is another's."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec is not None and spec.origin else Path()
    installed = {"site-packages", "dist-packages"} & {*path.parts}
    if path.suffix != ".py" or (installed and not module.startswith("captioning.")):
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = tuple(imports(tree))
    return Source(ast.unparse(without_docstrings(tree)), names)


def imports(tree: ast.AST) -> Iterator[str]:
    """List what a module imports by its full name; of `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def without_docstrings(tree: ast.AST) -> ast.AST:
    """Take the texts that stand by themselves out of a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not is_text(each)] or [ast.Pass()]
    return tree


def is_text(statement: ast.stmt) -> bool:
    """Say whether a statement is a text by itself, as docstrings are."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
