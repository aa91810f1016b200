"""What a browser makes of a page."""

from html.parser import HTMLParser
from pathlib import Path

LOADING = ("src", "srcset", "href", "data", "poster", "action")


class Page(HTMLParser):
    """What a browser sees: words, cards and everything that would be loaded."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.cards: list[list[str]] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.feed(file.read_text())
        self.text = " ".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag == "article":
            self.cards.append([])
        if tag == "img":
            self.alternatives.append(attributes["alt"] or "")
        self.addresses += [attributes[name] or "" for name in LOADING if name in attributes]

    def handle_data(self, data: str) -> None:
        self.words += data.split()
        if self.cards and data.strip():
            self.cards[-1].append(" ".join(data.split()))
