"""Align cells in columns for a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], gap: int) -> list[str]:
    """Return one line per row, the first cell left-aligned and the others right-aligned.

    All rows have the same number of cells; columns are `gap` spaces apart.
    """
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        (" " * gap).join(
            [f"{name:<{first}}", *(f"{each:>{w}}" for each, w in zip(cells, widths, strict=True))]
        )
        for name, *cells in rows
    ]
