"""Reading a page as a browser would: its elements, its text, every address it names."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """elements: (tag, attributes) in order; text: what is read, without markup."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self._rows: list[tuple[str, int, int]] = []
        self._section, self._row = "", 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "h2":
            self._section = dict(attrs).get("id") or ""
        if tag == "tr":
            self._row = len(self.parts)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._rows.append((self._section, self._row, len(self.parts)))
        if tag == "thead":
            self._rows.pop()

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def rows(self, section: str) -> list[str]:
        """What is read in each row of the tables in a section, without that of their heads."""
        found = [self.parts[begin:end] for name, begin, end in self._rows if name == section]
        return [" ".join(" ".join(one).split()) for one in found]

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element with this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def addresses(self) -> list[str]:
        """Everything the page links to, loads or sends to."""
        names = ("href", "src", "action", "srcset", "poster", "data", "formaction")
        return [attributes[name] or "" for _, attributes in self.elements for name in names if name in attributes]
