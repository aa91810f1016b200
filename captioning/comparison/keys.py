"""How the rows of a comparison are told apart, in drawings and beside their names."""

from typing import NamedTuple

from captioning.report.style import DARK, LIGHT, Theme

MARKERS = "osD^vP>*"
"""Matplotlib's, one for each colour, so that neither is needed to tell rows apart."""

SIGNS = "●■◆▲▼✚▶★", "○□◇△▽✛▷☆"
"""The same as text, filled and hollow."""


class Key(NamedTuple):
    """A colour with its mark; after eight rows the colours come again, dashed and hollow."""

    place: int

    @property
    def marker(self) -> str:
        return MARKERS[self.place % len(MARKERS)]

    @property
    def hollow(self) -> bool:
        return self.place // len(MARKERS) % 2 == 1

    @property
    def dashes(self) -> str:
        return "--" if self.hollow else "-"

    @property
    def sign(self) -> str:
        """The mark as text."""
        return SIGNS[self.hollow][self.place % len(MARKERS)]

    @property
    def light(self) -> str:
        """The colour on a light page."""
        return self.colour(LIGHT)

    @property
    def dark(self) -> str:
        """The colour on a dark page."""
        return self.colour(DARK)

    def colour(self, theme: Theme) -> str:
        """The colour in a drawing."""
        return theme.curves[self.place % len(MARKERS)]
