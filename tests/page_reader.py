"""Reads a page as a browser does, for tests of reports."""

import html.parser

VOID = ("meta", "img")


class Reader(html.parser.HTMLParser):
    """Text and tags of a page; fails if a tag is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def sources(self, tag: str) -> list[str]:
        """The `src` of every tag of a kind."""
        return [str(found["src"]) for name, found in self.tags if name == tag]
