"""A short digest of the code that made a result, which changes when that code does."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
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
    """Return the digest of these modules and of all that they import.

    Comments, docstrings and layout do not count, so documenting the code changes nothing. Nor do
    Python's own library and installed packages other than this one: a lock file pins those.
    """
    return digest("\n".join(f"# {name}\n{code}" for name, code in sorted(reached(modules).items())))


def reached(modules: Iterable[str]) -> dict[str, str]:
    """Return by name the code of these modules and of those they import, directly or not.

    Imports count anywhere in a module.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        source = None if name in found else read(name)
        if source is not None:
            found[name] = source.code
            waiting += source.imports
    return found


@cache
def read(module: str) -> Source | None:
    """Read a module; None if it does not exist, is not written in Python, or is third-party."""
    spec = find(module) if is_own(module.split(".", maxsplit=1)[0]) else None
    path = Path(spec.origin) if spec is not None and spec.origin else Path()
    if path.suffix != ".py":
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = tuple(imports(tree, package))
    return Source(ast.unparse(without_docstrings(tree)), names)


@cache
def is_own(package: str) -> bool:
    """Return whether a top-level package is this one or a user's, neither Python's nor installed.

    Asked before anything in the package is looked up, because that would import it.
    """
    if package == "captioning" or package in sys.stdlib_module_names:
        return package == "captioning"
    spec = find(package)
    if spec is None:
        return False
    places = [*(spec.submodule_search_locations or []), *([spec.origin] if spec.origin else [])]
    return not any({"site-packages", "dist-packages"} & {*Path(each).parts} for each in places)


def find(module: str) -> ModuleSpec | None:
    """Return where a module is; None if it does not exist."""
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the full names that a module imports; for `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


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
