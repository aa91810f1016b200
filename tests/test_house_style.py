"""What the house asks of code and no linter checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("captioning", "tests") for path in (ROOT / top).rglob("*.py"))


def lines_of_code(function: ast.FunctionDef) -> int:
    """The lines on which something stands, but for the docstring and comments."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) else function.body
    stand = {
        line
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.stmt | ast.expr)
        for line in (node.lineno, node.end_lineno)
    }
    return len(stand) + 1


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_have_300_lines_and_functions_40_at_most(path: Path) -> None:
    length = len(path.read_text().splitlines())
    assert length <= 300
    assert [each.name for each in functions(path) if lines_of_code(each) > 40] == []
