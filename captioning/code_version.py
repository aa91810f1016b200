"""A short digest of the code that made a result, which changes when that code does."""

import ast
import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import NamedTuple

LENGTH = 8  # hexadecimal digits of a digest
PYTHONS = Path(sysconfig.get_path("stdlib"))


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

    Imports count anywhere in a module, and so do the packages that it lies in.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        source = None if name in found else read(name)
        if source is not None:
            found[name] = source.code
            waiting += source.imports
        package = name.rpartition(".")[0]
        waiting += [package] if package else []
    return found


@cache
def read(module: str) -> Source | None:
    """Read a module; None if it does not exist, is not written in Python, or is third-party.

    A file that Python cannot parse counts as it is.
    """
    spec = find(module)
    path = Path(spec.origin) if spec is not None and spec.origin else Path()
    if path.suffix != ".py":
        return None
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Source(repr(content), ())
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = tuple(imports(tree, package))
    return Source(ast.unparse(without_docstrings(tree)), names)


@cache
def find(module: str) -> ModuleSpec | None:
    """Return where a module is, without executing any; None if it does not exist or is not own."""
    package, _, name = module.rpartition(".")
    if not package:
        return find_top(name)
    parent = find(package)
    places = None if parent is None else parent.submodule_search_locations
    return PathFinder.find_spec(module, places) if places else None


def find_top(module: str) -> ModuleSpec | None:
    """Return where a top-level module is; None if it is Python's, or an installed package's."""
    try:
        spec = find_spec(module)
    except ValueError:  # as of a script, which has no place as a module
        return None
    if spec is None:
        return None
    locations = [*([spec.origin] if spec.origin else []), *(spec.submodule_search_locations or [])]
    places = [Path(location) for location in locations]
    pythons = any(PYTHONS in place.parents for place in places)
    installed = any({"site-packages", "dist-packages"} & {*place.parts} for place in places)
    return spec if module == "captioning" or not (pythons or installed) else None


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the full names that a module imports; for `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                module = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # beyond the topmost package: it could not be executed
                continue
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
