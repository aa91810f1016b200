"""Colours and markers that identify the rows of a comparison."""

from typing import NamedTuple

from captioning.report.style import DARK, LIGHT, Theme

MARKERS = "osD^vP>*"
"""Matplotlib's markers, one per colour, so that either of the two identifies a row."""

SIGNS = "●■◆▲▼✚▶★", "○□◇△▽✛▷☆"
"""The same as characters, filled and hollow."""


class Key(NamedTuple):
    """A colour with a marker; after eight rows the colours repeat, dashed and hollow."""

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
        """The marker as a character."""
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
        """Return the colour in a drawing."""
        return theme.curves[self.place % len(MARKERS)]
