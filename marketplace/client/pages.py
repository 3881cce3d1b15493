"""A party's own pages, fetched with its key: what a browser, which has no key, is not shown."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl

from marketplace.client.api import ApiClient

_STYLE = re.compile(rb'<link rel="stylesheet" href="(?P<path>[^"?]+)[^"]*">')
DESK_PAGES = ("director", "sales", "purchases", "shares", "payables")


def own_page(client: ApiClient, name: str, language: str) -> bytes:
    """A page of the caller's desk, to be kept as a file and opened in a browser.

    name: one of DESK_PAGES, or the address of any page of the service, `/invoices/…`, also with a query; language: `en`
    or `zh`.  Its links and forms lead to the service, which asks again who reads; its style is in it, so that it looks
    as it should where the service is not.  Raises ProblemError.
    """
    address = name if name.startswith("/") else f"/participants/{client.participant_id}/{name}"
    path, _, query = address.partition("?")
    page = client.get_bytes(path, dict(parse_qsl(query)) | {"lang": language})
    base = f'<base href="{html.escape(client.base_url + path)}">'.encode()
    return _with_style(client, page).replace(b"<head>\n", b"<head>\n" + base + b"\n", 1)


def _with_style(client: ApiClient, page: bytes) -> bytes:
    link = _STYLE.search(page)
    if link is None:  # a file, not a page
        return page
    style = client.get_bytes(link["path"].decode())
    return page[: link.start()] + b"<style>\n" + style + b"</style>" + page[link.end() :]
