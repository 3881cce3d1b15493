"""Reading a page as a browser would: its elements, its text, every address it names."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """elements: (tag, attributes) in order; text: what is read, without markup."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element with this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def addresses(self) -> list[str]:
        """Everything the page links to, loads or sends to."""
        names = ("href", "src", "action", "srcset", "poster", "data", "formaction")
        return [attributes[name] or "" for _, attributes in self.elements for name in names if name in attributes]
