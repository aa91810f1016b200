"""Self-contained HTML pages: their templates and embedded images."""

import base64
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from captioning.report.style import DARK, LIGHT, Theme, as_png, blank


class Drawing(NamedTuple):
    """A drawing as PNG, for a light and for a dark page, with a description in words."""

    name: str
    light: bytes
    dark: bytes
    words: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the header of the PNG."""
        width, height = struct.unpack(">II", self.light[16:24])
        return width, height


def both(
    name: str,
    words: str,
    size: tuple[float, float],
    draw: Callable[[Figure, Theme], None],
) -> Drawing:
    """Make a drawing for a light and for a dark page; `size` is in inches."""

    def page(theme: Theme) -> bytes:
        figure = blank(*size, theme)
        draw(figure, theme)
        return as_png(figure)

    return Drawing(name, page(LIGHT), page(DARK), words)


def fill(package: str, template: str, **values: Any) -> str:
    """Render a template of a package, which may extend those here. Text is escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("captioning.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = lambda content: data_address("png", content)
    return environment.get_template(template).render(**values)


def data_address(kind: str, content: bytes) -> str:
    """Return a data URL that contains the image, so that the page is self-contained."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
