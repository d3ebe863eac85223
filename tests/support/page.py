"""A piece of HTML, read as a browser would."""

from __future__ import annotations

from html.parser import HTMLParser

TAGS = {"div", "span", "style", "b", "bdi", "ul", "li", "pre", "mark", "details", "summary", "code"}

TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """Elements, attributes and visible text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.css = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.css += data
        else:
            self.text += data

    def classes(self) -> set[str]:
        return {name for key, value in self.attributes if key == "class" for name in (value or "").split()}
