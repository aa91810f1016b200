"""Cells in columns, as a terminal shows them."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], gap: int) -> list[str]:
    """Give a line for each row: its first cell to the left, the others to the right.

    All have as many cells; columns lie `gap` spaces apart.
    """
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        (" " * gap).join(
            [f"{name:<{first}}", *(f"{each:>{w}}" for each, w in zip(cells, widths, strict=True))]
        )
        for name, *cells in rows
    ]
