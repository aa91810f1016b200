"""A short digest of the code that made a result, which changes when that code does."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

LENGTH = 8  # hexadecimal digits of a digest


class Source(NamedTuple):
    """A module's source as far as it matters to Python."""

    code: str  # without comments, docstrings and layout
    imports: tuple[str, ...]


def digest(text: str) -> str:
    """Return a short digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def version(modules: Iterable[str]) -> str:
    """Return the digest of these modules and of all that they import from their own packages.

    Comments, docstrings and layout do not count, so documenting the code changes nothing.
    Installed packages other than this one do not count either: a lock file pins those.
    """
    return digest("\n".join(f"# {name}\n{code}" for name, code in sorted(reached(modules).items())))


def reached(modules: Iterable[str]) -> dict[str, str]:
    """Return by name the code of these modules and of those they import, directly or not.

    Imports count anywhere in a module, but only those from the module's own package.
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
    """Read a module; None if it does not exist, is not written in Python, or is third-party."""
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
    """Yield the full names that a module imports; for `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def without_docstrings(tree: ast.AST) -> ast.AST:
    """Remove the statements that are bare strings from a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not is_text(each)] or [ast.Pass()]
    return tree


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a bare string, as docstrings are."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
